// Many seeds on several processors: each process has a world of its own, and nothing but seeds and outcomes goes between.
import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { mutationFlags, withoutVariable } from "../mutations/index.ts";
import { createCounters } from "./counters.ts";
import type { Outcome, SimulateOptions, StoreKind } from "./simulate.ts";

export interface RunSeedsOptions {
  readonly runs: readonly SimulateOptions[];
  readonly processes: number;
  readonly onOutcome: (outcome: Outcome, options: SimulateOptions, ms: number) => void;
  /** A protection that the processes run without (`test/mutations`). */
  readonly control?: string | undefined;
  /** Default: the model. */
  readonly store?: StoreKind | undefined;
  /** Begins no further run once it aborts. */
  readonly signal?: AbortSignal;
}

/** A loop that never waits would block its process for ever, fake clock and all. */
export const realTimeMaxMs = 180_000;

/** Then another process takes over. To start costs as much as ten seeds; what a process keeps of each is next to nothing. */
export const seedsPerProcess = 500;

/** In MB, of young objects: nearly all die with the virtual second in which they were made. */
const youngSpaceMb = 32;

/**
 * In the order in which they end. A run that hangs, or ends its process, has broken something: another process goes on with the
 * next one. Rejects when a process does not start.
 */
export async function runSeeds(options: RunSeedsOptions): Promise<void> {
  const { runs, processes, signal } = options;
  const waiting = [...runs];
  const count = Math.min(processes, runs.length);
  signal?.addEventListener("abort", () => waiting.splice(0), { once: true });
  const runAll = async () => {
    try {
      while (waiting.length > 0) await runProcess(waiting, options);
    } catch (cause) {
      // The other processes end with the run that they have.
      waiting.splice(0);
      throw cause;
    }
  };
  await Promise.all(Array.from({ length: count }, runAll));
}

/** Answers `ready`, then each run that it is sent with its outcome. */
export function startWorker({ control, store }: Pick<RunSeedsOptions, "control" | "store">): ChildProcess {
  const flags = control === undefined ? [] : mutationFlags(join(import.meta.dirname, "../.."));
  return fork(fileURLToPath(new URL("worker.ts", import.meta.url)), store === undefined ? [] : [store], {
    execArgv: [`--max-semi-space-size=${youngSpaceMb}`, ...flags, "--import", "tsx"],
    env: { ...process.env, [withoutVariable]: control ?? "" },
  });
}

/** Of a run of which nothing else is known. */
export function brokenRun({ seed }: SimulateOptions, message: string): Outcome {
  return {
    seed,
    traceHash: "",
    violations: [{ invariant: "bug", message }],
    counters: createCounters().values,
    plan: "unknown: there is no outcome",
    faults: [],
    strikes: [],
    facts: { tasks: 0, executions: 0, endedAtMs: 0, traceLines: 0 },
    trace: [],
  };
}

function runProcess(waiting: SimulateOptions[], { onOutcome, ...how }: RunSeedsOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const worker = startWorker(how);
    let current: SimulateOptions | undefined;
    let startedAt = 0;
    let left = seedsPerProcess;
    let isDone = false;
    let hangs = false;
    let timeout: NodeJS.Timeout | undefined;
    worker.on("exit", (code, killedBy) => {
      clearTimeout(timeout);
      if (!isDone && !current) {
        reject(new Error(`a process that had not begun its first seed ended with ${code ?? killedBy}`));
        return;
      }
      if (!isDone && current) {
        const message = hangs ? "it hangs: a loop never waits" : `its process ended with ${code ?? killedBy}`;
        onOutcome(brokenRun(current, message), current, performance.now() - startedAt);
      }
      resolve();
    });
    worker.on("message", (message: Outcome | "ready") => {
      clearTimeout(timeout);
      if (message !== "ready" && current) onOutcome(message, current, performance.now() - startedAt);
      current = left-- > 0 ? waiting.shift() : undefined;
      if (current === undefined) {
        isDone = true;
        worker.disconnect();
        return;
      }
      startedAt = performance.now();
      timeout = setTimeout(() => {
        hangs = true;
        worker.kill("SIGKILL");
      }, realTimeMaxMs);
      worker.send(current);
    });
  });
}
