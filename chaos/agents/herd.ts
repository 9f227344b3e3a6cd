// Hundreds of agents in a process of their own, which can be frozen and killed like any other.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Cluster } from "@sluice/cluster";
import { httpGet, reservePorts, startProcess, until } from "@sluice/testbed";

export interface HerdStatus {
  /** Agents that are registered and take work. */
  readonly ready: number;
  /** Of each agent, how many streams of schedulers it has. */
  readonly streams: readonly number[];
  /** Attempts. */
  readonly running: number;
  /** The oldest among the agents' last valid heartbeats. */
  readonly heartbeatAgeMs: number;
  /** Incarnations that had to end themselves. */
  readonly fences: number;
}

export interface Herd extends AsyncDisposable {
  readonly count: number;
  kill(signal: NodeJS.Signals): void;
  status(): Promise<HerdStatus>;
  /** Waits until every agent is ready, has a stream of each of so many schedulers, and was heard of lately. */
  whole(schedulers: number, timeoutMs: number): Promise<void>;
}

const root = join(import.meta.dirname, "../..");
/** Heartbeats come every 2 s. */
const heartbeatAgeMaxMs = 4_000;

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
    count,
    kill: (signal) => child.kill(signal),
    status,
    async whole(schedulers, timeoutMs) {
      let last: HerdStatus | undefined;
      const isWhole = async () => {
        last = await status().catch((cause) => {
          if (child.exit) throw cause;
          return undefined;
        });
        if (!last) return false;
        const areAttached = last.streams.length === count && last.streams.every((streams) => streams >= schedulers);
        return last.ready === count && areAttached && last.heartbeatAgeMs < heartbeatAgeMaxMs;
      };
      await until(isWhole, { what: "not all of the herd are back", timeoutMs, everyMs: 100 }).catch((cause) => {
        const attached = last?.streams.filter((streams) => streams >= schedulers).length;
        throw new Error(`${cause.message}: ${last?.ready} are ready, ${attached} attached, of ${count}`, { cause });
      });
    },
    async [Symbol.asyncDispose]() {
      await child.stop("SIGKILL");
      reservation[Symbol.dispose]();
    },
  };
}
