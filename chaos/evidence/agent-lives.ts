// When incarnations of agents lived. Three witnesses, because each is blind to something: the processes (a kill is seen at
// once), the agents' logs (which incarnation began when; they survive a kill), the agents' table (who was fenced or declared
// dead while its process went on). What is seen a moment late counts from when the opposite was last seen, so that nobody is
// called alive who was not.
import { readFileSync } from "node:fs";
import type { AgentLife } from "@sluice/checkers";

export interface AgentProcess {
  readonly name: string;
  readonly pid: number | undefined;
  readonly logFile: string;
}

export interface AgentRow {
  readonly agentId: string;
  readonly incarnation: number;
  readonly fenced: boolean;
}

export interface AgentWatchOptions {
  /** Asked at every look; more may come. */
  readonly agents: () => readonly AgentProcess[];
  /** Every incarnation that the store does not call dead. */
  readonly rows: () => Promise<readonly AgentRow[]>;
  readonly now: () => number;
  /** Paths of logs of further agents, many in each, that are no processes of their own; default: none. */
  readonly sharedLogs?: () => readonly string[];
}

export interface Ending {
  readonly agentId: string;
  /** It was there until then, at least. */
  readonly at: number;
  /** It was gone then; default: `at`. */
  readonly seenAt?: number;
}
export interface Beginning extends Ending {
  readonly incarnation: number;
}

export class AgentWatch {
  readonly #options: AgentWatchOptions;
  readonly #pids = new Map<string, number>();
  readonly #exits: Ending[] = [];
  /** By agent and incarnation, those that were once in the store, and when they were not yet. */
  readonly #known = new Map<string, Beginning>();
  readonly #gone = new Map<string, Beginning>();
  /** When it looked last. */
  #lookedAt: number;
  #askedAt: number;

  constructor(options: AgentWatchOptions) {
    this.#options = options;
    this.#lookedAt = options.now();
    this.#askedAt = options.now();
  }

  lookAtProcesses(): void {
    const now = this.#options.now();
    for (const { name, pid } of this.#options.agents()) {
      const before = this.#pids.get(name);
      if (before !== undefined && before !== pid) this.#exits.push({ agentId: name, at: this.#lookedAt });
      if (pid === undefined) this.#pids.delete(name);
      else this.#pids.set(name, pid);
    }
    this.#lookedAt = now;
  }

  /** Rejects when the store does not answer. */
  async lookAtRows(): Promise<void> {
    const askedAt = this.#options.now();
    const rows = await this.#options.rows();
    const alive = new Set(rows.filter(({ fenced }) => !fenced).map(keyOf));
    for (const { agentId, incarnation } of rows) {
      const key = keyOf({ agentId, incarnation });
      if (!this.#known.has(key)) this.#known.set(key, { agentId, incarnation, at: this.#askedAt, seenAt: askedAt });
    }
    for (const [key, { agentId, incarnation }] of this.#known) {
      if (!alive.has(key) && !this.#gone.has(key)) {
        this.#gone.set(key, { agentId, incarnation, at: this.#askedAt, seenAt: askedAt });
      }
    }
    this.#askedAt = askedAt;
  }

  /** `wallStart`: wall time of the clock's 0. */
  lives(wallStart: number): AgentLife[] {
    const logs = this.#options.agents().map(({ logFile }) => beginningsIn(readFileSync(logFile, "utf8"), wallStart));
    const { sharedLogs = () => [] } = this.#options;
    const fences = sharedLogs().flatMap((path) => fencesIn(readFileSync(path, "utf8"), wallStart));
    const logged = logs.flatMap(({ beginnings }) => beginnings);
    const keys = new Set(logged.map(keyOf));
    return livesFrom({
      // Agents that are no service of the cluster have no log here.
      beginnings: [...logged, ...[...this.#known.values()].filter((one) => !keys.has(keyOf(one)))],
      endings: [...this.#exits, ...fences, ...logs.flatMap(({ endings }) => endings)],
      gone: [...this.#gone.values()],
    });
  }
}

function keyOf({ agentId, incarnation }: Pick<AgentRow, "agentId" | "incarnation">): string {
  return `${agentId}/${incarnation}`;
}

interface LogLine {
  readonly msg?: string;
  readonly time?: string;
  readonly agentId?: string;
  readonly incarnation?: number;
}

/** From the log of one agent. */
export function beginningsIn(
  log: string,
  wallStart: number,
): { readonly beginnings: readonly Beginning[]; readonly endings: readonly Ending[] } {
  const beginnings: Beginning[] = [];
  const endings: Ending[] = [];
  for (const text of log.split("\n")) {
    if (!text.includes('"agent registered"') && !text.includes('"a new incarnation of the agent starts"')) continue;
    const { msg, time = "", agentId, incarnation } = JSON.parse(text) as LogLine;
    const at = Date.parse(time) - wallStart;
    const last = beginnings.at(-1);
    if (msg === "agent registered" && agentId !== undefined && incarnation !== undefined) {
      beginnings.push({ agentId, incarnation, at });
    } else if (last) endings.push({ agentId: last.agentId, at });
  }
  return { beginnings, endings };
}

/** From a log of many agents: when they gave themselves up. */
export function fencesIn(log: string, wallStart: number): readonly Ending[] {
  const lines = log.split("\n").filter((text) => text.includes('"the agent is fenced and kills everything"'));
  return lines.flatMap((text) => {
    const { time = "", agentId } = JSON.parse(text) as LogLine;
    return agentId === undefined ? [] : [{ agentId, at: Date.parse(time) - wallStart }];
  });
}

export interface Witnessed {
  readonly beginnings: readonly Beginning[];
  /** Of whatever incarnation of the agent lived then. */
  readonly endings: readonly Ending[];
  /** Of this incarnation. */
  readonly gone: readonly Beginning[];
}

export function livesFrom({ beginnings, endings, gone }: Witnessed): AgentLife[] {
  return beginnings.map(({ agentId, incarnation, at: upAt }) => {
    const ends = [
      ...endings.filter((ending) => ending.agentId === agentId && ending.at >= upAt),
      ...gone.filter((one) => one.agentId === agentId && one.incarnation === incarnation),
      // Whoever begins has the host lock: nothing of the one before is left.
      ...beginnings.filter((later) => later.agentId === agentId && later.incarnation > incarnation),
    ];
    const earliest = (times: readonly number[]) => (times.length > 0 ? Math.min(...times) : undefined);
    const downAt = earliest(ends.map(({ at }) => at));
    const seenDownAt = earliest(ends.map(({ at, seenAt = at }) => seenAt));
    return { agentId, incarnation: () => incarnation, upAt, downAt, seenDownAt };
  });
}
