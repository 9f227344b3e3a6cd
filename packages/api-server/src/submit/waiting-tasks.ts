import { type AccountId, AppError, type Clock } from "@sluice/core";
import type { Store } from "@sluice/store";
import { LRUCache } from "lru-cache";

/**
 * Keeps an account from filling the store. An estimate: the last count plus what was admitted here since; the end of tasks
 * and other api-servers' admissions show at the next count. Never blocks a submission but an account's first.
 */
export interface WaitingTasks {
  /** How many of `wanted` submissions may be admitted. */
  admit(accountId: AccountId, wanted: number): Promise<number>;
  /** Its tasks that are not final; undefined: they were not counted here. */
  estimateOf(accountId: AccountId): number | undefined;
}

export interface WaitingTasksOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly max: number;
  /** Told of a count that failed; admission goes on with the estimate. */
  readonly onFailure: (cause: unknown) => void;
}

interface Estimate {
  tasks: number;
  countedAt: number;
  counting: Promise<void> | undefined;
}

const accountsMax = 10_000;
/** Over the limit every refusal asks for a new count, but not more often than this. */
const recountAtLeastMs = 1_000;

export function createWaitingTasks({ store, clock, max, onFailure }: WaitingTasksOptions): WaitingTasks {
  const estimates = new LRUCache<AccountId, Estimate>({ max: accountsMax });

  function count(accountId: AccountId, estimate: Estimate): Promise<void> {
    const before = estimate.tasks;
    estimate.counting ??= store.tasks
      .countWaiting(accountId, max + 1)
      .then((counted) => {
        // What was admitted during the count may or may not be in it: count it twice rather than not at all.
        estimate.tasks = counted + (estimate.tasks - before);
        estimate.countedAt = clock.monotonic();
      })
      .finally(() => {
        estimate.counting = undefined;
      });
    return estimate.counting;
  }

  return {
    async admit(accountId, wanted) {
      let estimate = estimates.get(accountId);
      if (estimate === undefined) {
        estimate = { tasks: 0, countedAt: Number.NEGATIVE_INFINITY, counting: undefined };
        estimates.set(accountId, estimate);
      }
      if (estimate.countedAt === Number.NEGATIVE_INFINITY) await count(accountId, estimate);
      const age = clock.monotonic() - estimate.countedAt;
      const isFull = estimate.tasks + wanted > max;
      // Counting a million rows takes a tenth of a second, so large accounts are counted less often.
      if (age > (isFull ? recountAtLeastMs : 5_000 + estimate.tasks / 50)) count(accountId, estimate).catch(onFailure);
      const admitted = Math.max(0, Math.min(wanted, max - estimate.tasks));
      estimate.tasks += admitted;
      return admitted;
    },
    estimateOf(accountId) {
      const estimate = estimates.peek(accountId);
      return estimate === undefined || estimate.countedAt === Number.NEGATIVE_INFINITY ? undefined : estimate.tasks;
    },
  };
}

export function tooManyWaiting(max: number): AppError {
  return new AppError(
    "exhausted",
    "TOO_MANY_WAITING_TASKS",
    `the account has ${max} tasks that are not final; wait until some have ended`,
    { retryAfterMs: 5_000 },
  );
}
