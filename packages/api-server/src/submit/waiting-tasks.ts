// Keeps an account from filling the store. What it has is an estimate: the last count, plus what was admitted here since; the end of
// tasks and other api-servers' admissions show at the next count.
//
//   unknown ──first submission, which waits──▶ counted ──a submission, after the pause──▶ due ──in its turn──▶ counted
//
// One that is due is counted in the background, one at a time on a server, those over the limit first. Counting a million rows takes
// PostgreSQL 0.14 s (measured on a busy machine), so the pause grows with what the last count took.
import { type AccountId, AppError, type Clock } from "@sluice/core";
import type { Store } from "@sluice/store";
import { LRUCache } from "lru-cache";

export interface WaitingTasks {
  /** How many of `wanted` submissions may be admitted. Waits for nothing but the first count of an account. */
  admit(accountId: AccountId, wanted: number): Promise<number>;
  /** Its tasks that are not final; undefined: they were not counted here. */
  estimateOf(accountId: AccountId): number | undefined;
}

export interface WaitingTasksOptions {
  readonly store: { readonly tasks: Pick<Store["tasks"], "countWaiting"> };
  readonly clock: Pick<Clock, "monotonic">;
  readonly max: number;
  /** Told of a count that failed; admission goes on with the estimate. */
  readonly onFailure: (cause: unknown) => void;
}

interface Estimate {
  readonly accountId: AccountId;
  tasks: number;
  /** False: the first count has not ended well. */
  isKnown: boolean;
  /** When the last count ended, well or not, and how long it took. */
  countedAt: number;
  tookMs: number;
  first: Promise<void> | undefined;
  isDue: boolean;
}

const accountsMax = 10_000;
/** Counting one account takes a connection of the store so much of the time at most, unless `pauseMsMax` is shorter. */
const countingShareMax = 0.01;
/** Over the limit a new count is asked for by each refusal, but not more often than this; else less often. */
const [pauseMsMinWhenFull, pauseMsMin] = [1_000, 5_000];
/** An account that was full knows after so long, and its turn, that it has room. */
const pauseMsMax = 30_000;

export function createWaitingTasks({ store, clock, max, onFailure }: WaitingTasksOptions): WaitingTasks {
  const estimates = new LRUCache<AccountId, Estimate>({ max: accountsMax });
  const due: Record<"full" | "others", Estimate[]> = { full: [], others: [] };
  let isCounting = false;

  function estimateFor(accountId: AccountId): Estimate {
    const known = estimates.get(accountId);
    if (known !== undefined) return known;
    const unknown = { accountId, tasks: 0, isKnown: false, countedAt: 0, tookMs: 0, first: undefined, isDue: false };
    estimates.set(accountId, unknown);
    return unknown;
  }

  async function count(estimate: Estimate): Promise<void> {
    const [before, since] = [estimate.tasks, clock.monotonic()];
    try {
      const counted = await store.tasks.countWaiting(estimate.accountId, max + 1);
      // What was admitted during the count may or may not be in it: count it twice rather than not at all.
      estimate.tasks = counted + (estimate.tasks - before);
      estimate.isKnown = true;
    } finally {
      estimate.countedAt = clock.monotonic();
      estimate.tookMs = estimate.countedAt - since;
    }
  }

  async function countFirst(estimate: Estimate): Promise<void> {
    estimate.first ??= count(estimate).finally(() => {
      estimate.first = undefined;
    });
    await estimate.first;
  }

  function countInTurn(estimate: Estimate, isFull: boolean): void {
    estimate.isDue = true;
    due[isFull ? "full" : "others"].push(estimate);
    if (!isCounting) void countAll();
  }

  async function countAll(): Promise<void> {
    isCounting = true;
    for (let next = takeDue(); next !== undefined; next = takeDue()) {
      await count(next).catch(onFailure);
      next.isDue = false;
    }
    isCounting = false;
  }

  function takeDue(): Estimate | undefined {
    return due.full.shift() ?? due.others.shift();
  }

  return {
    async admit(accountId, wanted) {
      const estimate = estimateFor(accountId);
      if (!estimate.isKnown) await countFirst(estimate);
      const isFull = estimate.tasks + wanted > max;
      const age = clock.monotonic() - estimate.countedAt;
      if (!estimate.isDue && age > pauseMsAfter(estimate.tookMs, isFull)) countInTurn(estimate, isFull);
      const admitted = Math.max(0, Math.min(wanted, max - estimate.tasks));
      estimate.tasks += admitted;
      return admitted;
    },
    estimateOf(accountId) {
      const estimate = estimates.peek(accountId);
      return estimate?.isKnown ? estimate.tasks : undefined;
    },
  };
}

function pauseMsAfter(tookMs: number, isFull: boolean): number {
  return Math.min(pauseMsMax, Math.max(isFull ? pauseMsMinWhenFull : pauseMsMin, tookMs / countingShareMax));
}

export function tooManyWaiting(max: number): AppError {
  return new AppError(
    "exhausted",
    "TOO_MANY_WAITING_TASKS",
    `the account has ${max} tasks that are not final; wait until some have ended`,
    { retryAfterMs: 5_000 },
  );
}
