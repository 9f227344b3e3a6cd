// Renews agents, many at once, in two places that fail apart: the rows in the store and the keys in etcd.
//
//   empty ──first heartbeat──▶ collecting (heartbeatWindowMs) ──▶ renewing (both places, each bounded) ──answers──▶ empty
//
// Only `run` renews; `renew` adds to what is collected. Heartbeats that come during a renewal belong to the next window.

import { agentsPrefix, type Coordinator } from "@sluice/coordination";
import { type Clock, createWake } from "@sluice/core";
import type { Logger } from "@sluice/runtime";
import type { AgentIncarnation, Store } from "@sluice/store";
import type { ApiServerMetrics } from "../metrics.ts";
import { stoppingError } from "../stopping.ts";
import { within } from "../within.ts";

/** `valid`: renewed in at least one place. `dead`: the incarnation is over for good. `invalid`: neither is known. */
type HeartbeatAnswer = "valid" | "invalid" | "dead";

export interface Lifeline {
  /** Rejects with `SHUTTING_DOWN` after `run` has ended. */
  renew(agent: AgentIncarnation): Promise<HeartbeatAnswer>;
  /** When the signal aborts, what is collected is renewed once more. */
  run(signal: AbortSignal): Promise<void>;
}

export interface LifelineOptions {
  readonly store: Store;
  readonly coordinator: Coordinator;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: ApiServerMetrics;
  readonly windowMs: number;
  readonly keyTtlMs: number;
}

/** Far below the 20 s after which an agent gives up, so that one place that hangs does not cost the other's answer. */
const placeTimeoutMs = 3_000;
const leasesAtOnce = 64;
const rowsAtOnce = 5_000;

type Answers = ReadonlyMap<string, HeartbeatAnswer>;
/** In one place. Agents that are absent were not renewed. */
type Place = (agents: readonly AgentIncarnation[]) => Promise<Answers>;

export function createLifeline(options: LifelineOptions): Lifeline {
  const { clock, log, metrics, windowMs } = options;
  const rows = bounded("the store", options, inRows(options));
  const keys = bounded("etcd", options, inKeys(options));
  const wake = createWake(clock);
  let hasEnded = false;
  let collected = new Map<string, { agent: AgentIncarnation; answer: ((answer: HeartbeatAnswer) => void)[] }>();

  async function renewAll(): Promise<void> {
    const window = [...collected.values()];
    collected = new Map();
    if (window.length === 0) return;
    const agents = window.map(({ agent }) => agent);
    const [byRow, byKey] = await Promise.all([rows(agents), keys(agents)]);
    for (const { agent, answer } of window) {
      const id = idOf(agent);
      const verdict = verdictOf(byRow.get(id), byKey.get(id));
      // The last heartbeat of an agent that has just left says nothing bad.
      if (verdict === "dead") log.info("refused a heartbeat", { ...agent, verdict });
      else if (verdict !== "valid") log.warn("refused a heartbeat", { ...agent, verdict });
      metrics.heartbeats.inc({ answer: verdict }, answer.length);
      for (const tell of answer) tell(verdict);
    }
  }

  return {
    async renew(agent) {
      if (hasEnded) throw stoppingError();
      const id = idOf(agent);
      const waiting = collected.get(id) ?? { agent, answer: [] };
      collected.set(id, waiting);
      wake.notify();
      return new Promise((resolve) => waiting.answer.push(resolve));
    },
    async run(signal) {
      while (!signal.aborted) {
        await wake.wait(signal);
        await clock.sleep(windowMs, signal);
        if (!signal.aborted) await renewAll();
      }
      hasEnded = true;
      await renewAll();
    },
  };
}

/** A row that is marked dead never comes back, whatever is left of its key. */
function verdictOf(row: HeartbeatAnswer | undefined, key: HeartbeatAnswer | undefined): HeartbeatAnswer {
  if (row === "dead") return "dead";
  return row === "valid" || key === "valid" ? "valid" : "invalid";
}

function idOf({ agentId, incarnation }: AgentIncarnation): string {
  return `${agentId}/${incarnation}`;
}

function inRows({ store }: LifelineOptions): Place {
  return async (agents) => {
    const answers = new Map<string, HeartbeatAnswer>();
    for (let from = 0; from < agents.length; from += rowsAtOnce) {
      const some = agents.slice(from, from + rowsAtOnce);
      for (const agent of await store.agents.renew(some)) answers.set(idOf(agent), "valid");
    }
    const refused = agents.filter((agent) => !answers.has(idOf(agent)));
    if (refused.length === 0) return answers;
    // Refused: fenced, which ends by itself, or over for good.
    const alive = new Set((await store.agents.list()).map(idOf));
    for (const agent of refused) answers.set(idOf(agent), alive.has(idOf(agent)) ? "invalid" : "dead");
    return answers;
  };
}

/**
 * A key counts only while it is there: whoever fences an agent deletes its key, and its lease lives on. It is never written
 * here; once lost it stays lost, and the row alone keeps the agent alive.
 */
function inKeys({ coordinator, keyTtlMs }: LifelineOptions): Place {
  return async (agents) => {
    const answers = new Map<string, HeartbeatAnswer>();
    const entries = new Map((await coordinator.list(agentsPrefix)).map((entry) => [entry.key, entry]));
    const todo = agents.values();
    const renewSome = async () => {
      for (const agent of todo) {
        const entry = entries.get(`${agentsPrefix}${agent.agentId}`);
        if (entry?.leaseId === undefined || entry.value !== String(agent.incarnation)) continue;
        if (await coordinator.renew({ id: entry.leaseId, ttlMs: keyTtlMs })) answers.set(idOf(agent), "valid");
      }
    };
    await Promise.all(Array.from({ length: Math.min(leasesAtOnce, agents.length) }, renewSome));
    return answers;
  };
}

/** The same place, but it answers within a time, with nothing if need be, and is not asked again while it hangs. */
function bounded(name: string, { clock, log }: LifelineOptions, place: Place): Place {
  const nobody: Answers = new Map();
  let isAsked = false;
  let isFailing = false;

  function failing(cause: unknown): Answers {
    if (!isFailing) log.warn("cannot renew agents in one place", { place: name, cause });
    isFailing = true;
    return nobody;
  }
  return async (agents) => {
    if (isAsked) return nobody;
    isAsked = true;
    const asked = place(agents).then((answers) => {
      if (isFailing) log.info("renews agents in both places again", { place: name });
      isFailing = false;
      return answers;
    }, failing);
    void asked.finally(() => {
      isAsked = false;
    });
    const silent = () => failing(new Error(`no answer within ${placeTimeoutMs} ms`));
    return within(clock, placeTimeoutMs, asked, silent);
  };
}
