import type { Random } from "../random.ts";

/**
 * Why an attempt did not succeed.
 * - `fatal`: it would fail again: no permission, a bad argument.
 * - `retryable`: the function failed, timed out or crashed.
 * - `flow_control`: there was no room, or the function itself asked for less; not its failure.
 * - `lost`: its agent is gone, and with it what became of the attempt.
 */
export const errorClasses = ["fatal", "retryable", "flow_control", "lost"] as const;
export type ErrorClass = (typeof errorClasses)[number];

export interface RetryConfig {
  /** Retries of failed attempts, 0 to 8; default 3. */
  readonly maxAsyncRetryAttempts: number;
  /** Attempts that may be lost before the task fails: one that kills its agents must not do so for ever. Default 3. */
  readonly lostAttemptsMax: number;
  /** No retry comes earlier; default 500 ms. */
  readonly delayMinMs: number;
  /** The longest delay before the first retry; doubles with each; default 1 s. */
  readonly delayBaseMs: number;
  /** After failed and lost attempts; default 5 min. */
  readonly delayMaxMs: number;
  /** After flow control; default 60 s. */
  readonly flowControlDelayMaxMs: number;
}

export const defaultRetryConfig: RetryConfig = {
  maxAsyncRetryAttempts: 3,
  lostAttemptsMax: 3,
  delayMinMs: 500,
  delayBaseMs: 1_000,
  delayMaxMs: 300_000,
  flowControlDelayMaxMs: 60_000,
};

export interface EndedAttempt {
  readonly class: ErrorClass;
  /** Failed attempts that were retried before this one. */
  readonly retries: number;
  /** Attempts that were lost before this one. */
  readonly lostAttempts: number;
  /** Attempts that met flow control before this one: `attempt - 1 - retries - lostAttempts`; default 0. */
  readonly throttledAttempts?: number;
  /** As asked for by whoever refused the attempt; at least `delayMinMs`, at most the maximum of its class. */
  readonly retryAfterMs?: number;
  /** What is missing has its default. */
  readonly config?: Partial<RetryConfig>;
}

export type RetryDecision =
  | {
      readonly kind: "retry";
      readonly delayMs: number;
      /** What the row says from now on. */
      readonly retries: number;
      readonly lostAttempts: number;
    }
  | { readonly kind: "give_up"; readonly reason: "fatal" | "retries_exhausted" | "lost_too_often" };

/** What follows an attempt that did not succeed. Only `retryable` consumes a retry. */
export function decideRetry(ended: EndedAttempt, random: Random): RetryDecision {
  const config = { ...defaultRetryConfig, ...ended.config };
  const { retries, lostAttempts, retryAfterMs = 0 } = ended;
  switch (ended.class) {
    case "fatal":
      return { kind: "give_up", reason: "fatal" };
    case "retryable": {
      if (retries >= config.maxAsyncRetryAttempts) return { kind: "give_up", reason: "retries_exhausted" };
      const delayMs = backoffMs({ step: retries, retryAfterMs, maxMs: config.delayMaxMs }, config, random);
      return { kind: "retry", delayMs, retries: retries + 1, lostAttempts };
    }
    case "lost": {
      if (lostAttempts >= config.lostAttemptsMax) return { kind: "give_up", reason: "lost_too_often" };
      const delayMs = backoffMs({ step: lostAttempts, retryAfterMs, maxMs: config.delayMaxMs }, config, random);
      return { kind: "retry", delayMs, retries, lostAttempts: lostAttempts + 1 };
    }
    case "flow_control": {
      const step = ended.throttledAttempts ?? 0;
      const delayMs = backoffMs({ step, retryAfterMs, maxMs: config.flowControlDelayMaxMs }, config, random);
      return { kind: "retry", delayMs, retries, lostAttempts };
    }
  }
}

/**
 * Exponential with full jitter above a floor: what failed together must not come back together. Whole milliseconds.
 */
function backoffMs(
  { step, retryAfterMs, maxMs }: { readonly step: number; readonly retryAfterMs: number; readonly maxMs: number },
  { delayMinMs, delayBaseMs }: RetryConfig,
  random: Random,
): number {
  if (retryAfterMs > 0) {
    return Math.min(maxMs, Math.ceil(Math.max(delayMinMs, retryAfterMs) * (1 + 0.2 * random.next())));
  }
  const ceilingMs = Math.min(maxMs, delayBaseMs * 2 ** Math.min(step, 30));
  const floorMs = Math.min(delayMinMs, ceilingMs);
  return Math.round(floorMs + random.next() * (ceilingMs - floorMs));
}
