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

const root = join(import.meta.dirname, "../..");

/** Starts them; does not wait until they are ready. */
export async function startHerd(
  cluster: Pick<Cluster, "dataDir" | "apiAddresses">,
  { count, slots }: { readonly count: number; readonly slots: number },
): Promise<Herd> {
  const reservation = await reservePorts(1);
  const [port = 0] = reservation.ports;
  const { joinToken } = JSON.parse(readFileSync(join(cluster.dataDir, "secrets.json"), "utf8"));
  const logFile = join(cluster.dataDir, "logs", "herd.log");
  const child = startProcess({
    name: "herd",
    command: process.execPath,
    args: ["--import", "tsx", join(root, "chaos/agents/main.ts")],
    env: {
      PATH: process.env["PATH"] ?? "",
      HERD_COUNT: String(count),
      HERD_SLOTS: String(slots),
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
