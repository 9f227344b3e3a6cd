// Instances that are timers: what an agent of the herd "executes" takes its time, and writes the same ledger as a handler.
import type { FunctionSpec, InstancePool, Invocation, Outcome, StopSignal } from "@sluice/agent";

export interface TimedPoolOptions {
  /** Writes the ledger, and says how long an attempt takes and how it ends. */
  readonly execute: (spec: FunctionSpec, invocation: Invocation, signal: AbortSignal) => Promise<Outcome>;
}

export function createTimedPool({ execute }: TimedPoolOptions): InstancePool {
  const warm = new Set<number>();
  const running = new Set<AbortController>();
  let isClosed = false;

  async function killAll(): Promise<void> {
    isClosed = true;
    for (const killed of running) killed.abort();
  }

  return {
    get instanceCount() {
      return running.size;
    },
    hasWarm: (revision) => warm.has(revision),
    async run(spec: FunctionSpec, invocation: Invocation, stop: StopSignal): Promise<Outcome> {
      if (isClosed) return unavailable;
      if (stop.aborted) return { kind: "stopped" };
      const killed = new AbortController();
      const onStop = () => killed.abort();
      stop.addEventListener("abort", onStop);
      running.add(killed);
      warm.add(spec.revision);
      try {
        invocation.onStarted(`timed-${spec.revision}`);
        const outcome = await execute(spec, invocation, killed.signal);
        if (stop.aborted) return { kind: "stopped" };
        return killed.signal.aborted ? unavailable : outcome;
      } finally {
        running.delete(killed);
        stop.removeEventListener("abort", onStop);
      }
    },
    killAll,
    [Symbol.asyncDispose]: killAll,
  };
}

const unavailable: Outcome = {
  kind: "failed",
  errorType: "InstanceUnavailable",
  message: "killed",
  body: Buffer.from("{}"),
  class: "retryable",
};
