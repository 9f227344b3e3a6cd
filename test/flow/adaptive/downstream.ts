// What functions call, and what refuses them: each model says yes or no to one call at a time.

export interface Downstream {
  /** Undefined: taken; else refused, with the pause that it asks for (0: none). */
  refusal(nowMs: number): number | undefined;
  /** Calls per second that it takes. */
  capacity(nowMs: number): number;
  /** A call that was taken has ended. */
  left?(): void;
}

export interface BucketOptions {
  /** Calls per second; or a function of the time. */
  readonly rate: number | ((nowMs: number) => number);
  /** Tokens that it saves up; 1: no two calls may come closer than 1 / rate. */
  readonly burst: number;
  readonly retryAfterMs?: number;
}

/** A token bucket, full at first. */
export function bucket({ rate, burst, retryAfterMs = 0 }: BucketOptions): Downstream {
  const capacity = typeof rate === "number" ? () => rate : rate;
  let tokens = burst;
  let filledAt = 0;
  return {
    capacity,
    refusal(now) {
      tokens = Math.min(burst, tokens + (capacity(now) * (now - filledAt)) / 1_000);
      filledAt = now;
      // Sums of floats: a call that comes just in time is in time.
      if (tokens < 1 - 1e-6) return retryAfterMs;
      tokens -= 1;
      return undefined;
    },
  };
}

/** So many calls in each period, as soon as it begins; then none until the next. */
export function quota(calls: number, periodMs: number): Downstream {
  let period = -1;
  let left = 0;
  return {
    capacity: () => (calls * 1_000) / periodMs,
    refusal(now) {
      const current = Math.floor(now / periodMs);
      if (current !== period) left = calls;
      period = current;
      if (left === 0) return 0;
      left--;
      return undefined;
    },
  };
}

/** So many calls at a time, each of which takes `meanMs`. */
export function connections(count: number, meanMs: number): Downstream {
  let used = 0;
  return {
    capacity: () => (count * 1_000) / meanMs,
    refusal() {
      if (used >= count) return 0;
      used++;
      return undefined;
    },
    left: () => {
      used--;
    },
  };
}
