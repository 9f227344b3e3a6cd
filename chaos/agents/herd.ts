// Hundreds of agents in a process of their own, which can be frozen and killed like any other.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Cluster } from "@sluice/cluster";
import { httpGet, reservePorts, startProcess } from "@sluice/testbed";

export interface HerdStatus {
  /** Agents that are registered and take work. */
  readonly ready: number;
  /** Of each agent, how many streams of schedulers it has. */
  readonly streams: readonly number[];
  /** Attempts. */
  readonly running: number;
  /** The oldest among the agents' last valid heartbeats. */
  readonly heartbeatAgeMs: number;
  /** The longest time in which its event loop stood still since the last look. */
  readonly lagMs: number;
  /** Incarnations that had to end themselves. */
  readonly fences: number;
}

export interface Herd extends AsyncDisposable {
  kill(signal: NodeJS.Signals): void;
  status(): Promise<HerdStatus>;
}

export interface HerdOptions {
  readonly count: number;
  /** Of each. */
  readonly slots: number;
  /** All of them start at the same moment, on one processor; default: ten at a time. */
  readonly isAtOnce?: boolean;
}

const root = join(import.meta.dirname, "../..");

export function herdLogOf({ dataDir }: Pick<Cluster, "dataDir">): string {
  return join(dataDir, "logs", "herd.log");
}

/** Starts them; does not wait until they are ready. */
export async function startHerd(
  cluster: Pick<Cluster, "dataDir" | "apiAddresses">,
  { count, slots, isAtOnce = false }: HerdOptions,
): Promise<Herd> {
  const reservation = await reservePorts(1);
  const [port = 0] = reservation.ports;
  const { joinToken } = JSON.parse(readFileSync(join(cluster.dataDir, "secrets.json"), "utf8"));
  const logFile = herdLogOf(cluster);
  const child = startProcess({
    name: "herd",
    command: process.execPath,
    args: ["--import", "tsx", join(root, "chaos/agents/main.ts")],
    env: {
      PATH: process.env["PATH"] ?? "",
      HERD_COUNT: String(count),
      HERD_SLOTS: String(slots),
      HERD_AT_ONCE: isAtOnce ? "yes" : "no",
      HERD_PORT: String(port),
      HERD_API_SERVERS: cluster.apiAddresses.join(","),
      SLUICE_JOIN_TOKEN: joinToken,
    },
    cwd: root,
    logFile,
  });

  async function status(): Promise<HerdStatus> {
    if (child.exit) throw new Error(`the herd has ended:\n${readFileSync(logFile, "utf8").slice(-2_000)}`);
    return JSON.parse((await httpGet(port, "/")).text) as HerdStatus;
  }

  return {
    kill: (signal) => child.kill(signal),
    status,
    async [Symbol.asyncDispose]() {
      await child.stop();
      reservation[Symbol.dispose]();
    },
  };
}
