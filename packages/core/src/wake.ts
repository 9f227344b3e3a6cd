import type { Clock } from "./clock.ts";

/** Lets a loop wait for work without polling. Level-triggered: a `notify` before the `wait` is not missed. */
export interface Wake {
  notify(): void;
  /** Resolves at once if notified since the last wait, else at the next notify, after `timeoutMs`, or on abort. */
  wait(signal: AbortSignal, timeoutMs?: number): Promise<void>;
}

/** One waiter at a time. */
export function createWake(clock: Clock): Wake {
  let notified = false;
  let waiter: (() => void) | undefined;
  return {
    notify() {
      notified = true;
      waiter?.();
    },
    async wait(signal, timeoutMs) {
      if (!notified && !signal.aborted) {
        await new Promise<void>((resolve) => {
          const cancelTimer = timeoutMs === undefined ? undefined : clock.timer(timeoutMs, done);
          function done(): void {
            waiter = undefined;
            cancelTimer?.();
            signal.removeEventListener("abort", done);
            resolve();
          }
          waiter = done;
          signal.addEventListener("abort", done, { once: true });
        });
      }
      notified = false;
    },
  };
}
