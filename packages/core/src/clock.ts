/** Milliseconds since the Unix epoch. For records that people or other machines read. */
export type EpochMs = number;

/**
 * The only source of time. Production passes the system clock; the simulation passes one that it moves by hand, so
 * that the same code runs in both.
 */
export interface Clock {
  /** Wall time, ms since the Unix epoch. May jump; never measure a duration with it. */
  now(): EpochMs;
  /** Monotonic time in ms from an arbitrary start. For durations and deadlines. Stops while the machine is suspended. */
  monotonic(): number;
  /**
   * Resolves after `ms`, or at once when `signal` aborts: it never rejects, so a loop is
   * `while (!signal.aborted) { …; await clock.sleep(ms, signal) }`. Accepts any length, also beyond 2^31 ms.
   */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /**
   * Calls `callback` once after `ms` unless the returned function is called first. Accepts any length, also beyond
   * 2^31 ms (a bare `setTimeout` fires such a timer at once).
   */
  timer(ms: number, callback: () => void): () => void;
}

/** A signal that aborts when `parent` does, or after `ms` with a `TimeoutError`. Call `cancel` when done with it. */
export interface Deadline {
  readonly signal: AbortSignal;
  cancel(): void;
}

/** A deadline `ms` from now. Unlike `AbortSignal.timeout` it obeys the injected clock. */
export function deadline(clock: Clock, ms: number, parent?: AbortSignal): Deadline {
  const controller = new AbortController();
  const onParentAbort = () => controller.abort(parent?.reason);
  const cancelTimer = clock.timer(ms, () =>
    controller.abort(new DOMException(`no answer within ${ms} ms`, "TimeoutError")),
  );
  if (parent?.aborted) onParentAbort();
  parent?.addEventListener("abort", onParentAbort, { once: true });
  return {
    signal: controller.signal,
    cancel() {
      cancelTimer();
      parent?.removeEventListener("abort", onParentAbort);
    },
  };
}
