import type { Clock } from "@sluice/core";
import type { Logger } from "@sluice/runtime";
import type { Store } from "@sluice/store";
import type { ApiServerMetrics } from "./metrics.ts";
import { within } from "./within.ts";

/** Whether an api-server takes calls: while it runs, its store answers, and it does not leave. */
export interface Readiness {
  /** Looks now. */
  ready(): Promise<boolean>;
  /** Calls at once and after every change; returns how to stop. */
  watch(listener: (isReady: boolean) => void): () => void;
  /** Not ready from now on. */
  leave(): void;
  /** Looks every two seconds; not ready once the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
}

export interface ReadinessOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: ApiServerMetrics;
}

const lookEveryMs = 2_000;
const pingTimeoutMs = 2_000;

export function createReadiness({ store, clock, log, metrics }: ReadinessOptions): Readiness {
  const listeners = new Set<(isReady: boolean) => void>();
  let isRunning = false;
  let isLeaving = false;
  let isReady = false;

  function become(found: boolean): void {
    const ready = found && isRunning && !isLeaving;
    if (ready === isReady) return;
    isReady = ready;
    metrics.ready.set(ready ? 1 : 0);
    if (ready) log.info("ready");
    else if (isRunning && !isLeaving) log.warn("not ready");
    else log.info("not ready: stopping");
    for (const listener of listeners) listener(ready);
  }

  function answers(): Promise<boolean> {
    const pinged = store.ping().then(
      () => true,
      () => false,
    );
    return within(clock, pingTimeoutMs, pinged, () => false);
  }

  return {
    async ready() {
      return !isLeaving && isRunning && (await answers()) && isRunning && !isLeaving;
    },
    watch(listener) {
      listeners.add(listener);
      listener(isReady);
      return () => listeners.delete(listener);
    },
    leave() {
      isLeaving = true;
      become(false);
    },
    async run(signal) {
      const stop = () => {
        isRunning = false;
        become(false);
      };
      if (signal.aborted) return;
      isRunning = true;
      // At once, not at the next look: whoever balances load must hear of the end before calls fail.
      signal.addEventListener("abort", stop, { once: true });
      while (!signal.aborted) {
        become(await answers());
        await clock.sleep(lookEveryMs, signal);
      }
    },
  };
}
