import { isTransient, type SluiceError, toSluiceError } from "./errors.ts";
import type { System } from "./system.ts";

export interface RetryOptions {
  readonly system: System;
  /** How long to go on trying, from the first try; 0: try once. */
  readonly retryTimeoutMs: number;
  readonly signal: AbortSignal;
}

/**
 * Calls `work` until it succeeds, fails for good, or the time is over. Only for calls that may be repeated. Throws the
 * signal's reason when it aborts.
 */
export async function retrying<T>(
  work: () => Promise<T>,
  { system, retryTimeoutMs, signal }: RetryOptions,
): Promise<T> {
  const patience = createPatience(system, retryTimeoutMs);
  for (;;) {
    signal.throwIfAborted();
    try {
      return await work();
    } catch (cause) {
      signal.throwIfAborted();
      const delayMs = patience.afterFailure(toSluiceError(cause));
      await system.sleep(delayMs, signal);
    }
  }
}

/** How long to go on after failures in a row. */
export interface Patience {
  /** How long to wait before the next try; throws `error` if there should be none. */
  afterFailure(error: SluiceError): number;
  /** A success: the next failure is the first one. */
  reset(): void;
}

export function createPatience(system: System, retryTimeoutMs: number): Patience {
  let failures = 0;
  let failingSince = system.monotonic();
  return {
    afterFailure(error) {
      if (!isTransient(error)) throw error;
      const delayMs = Math.max(error.retryAfterMs ?? 0, backoffMs(failures, system.random()));
      if (system.monotonic() + delayMs - failingSince > retryTimeoutMs) throw error;
      failures += 1;
      return delayMs;
    },
    reset() {
      failures = 0;
      failingSince = system.monotonic();
    },
  };
}

const backoffBaseMs = 50;
const backoffMaxMs = 2_000;

/** Exponential, capped, jittered over its upper half: clients that lost the same server do not come back together. */
export function backoffMs(failures: number, dice: number): number {
  const ceiling = Math.min(backoffMaxMs, backoffBaseMs * 2 ** Math.min(failures, 20));
  return ceiling * (0.5 + dice / 2);
}
