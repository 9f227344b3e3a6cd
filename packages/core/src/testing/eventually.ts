import type { Clock } from "../clock.ts";

export interface EventuallyOptions {
  /** Waits on this clock, which somebody else must move; default: real time. */
  readonly clock?: Pick<Clock, "monotonic" | "sleep">;
  /** Give up after so long; default 30 s. */
  readonly timeoutMs?: number;
  /** Between two looks; default 5 ms. */
  readonly everyMs?: number;
}

/**
 * Waits until `condition` returns something truthy, and returns that. It looks at the state again and again instead of
 * waiting for an event, so it does not matter when the state is reached. A condition that throws does not hold yet; its
 * last error is the cause of the failure.
 */
export async function eventually<T>(
  condition: () => T | Promise<T>,
  { clock = realTime, timeoutMs = 30_000, everyMs = 5 }: EventuallyOptions = {},
): Promise<Exclude<T, undefined | null | false | 0 | "">> {
  const giveUpAt = clock.monotonic() + timeoutMs;
  for (;;) {
    let cause: unknown;
    try {
      const value = await condition();
      if (value) return value as Exclude<T, undefined | null | false | 0 | "">;
    } catch (error) {
      cause = error;
    }
    if (clock.monotonic() >= giveUpAt) {
      throw new Error(`did not hold within ${timeoutMs} ms: ${condition}`, { cause });
    }
    await clock.sleep(everyMs);
  }
}

const realTime: Pick<Clock, "monotonic" | "sleep"> = {
  monotonic: () => performance.now(),
  sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
};
