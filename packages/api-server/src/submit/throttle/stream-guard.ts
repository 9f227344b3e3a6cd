// Refuses submissions before the queue's stream is full, so that what was accepted can nearly always be announced. First those
// whose accounts have much waiting already, then everybody. Nothing is asked: the queue knows its fullness, some seconds old.
//
//   open ──fuller than `fullnessMax`──▶ who has much waiting is refused ──half of the rest is gone──▶ all are refused
import { type AccountId, AppError, type Random, spreadDelayMs } from "@sluice/core";

export interface StreamGuard {
  /** Undefined: the account may submit. */
  refusalOf(accountId: AccountId): AppError | undefined;
}

export interface StreamGuardOptions {
  readonly random: Random;
  /** 0 to 1; undefined: not known. */
  readonly fullness: () => number | undefined;
  /** The unfinished tasks of an account; undefined: they were not counted. */
  readonly waitingOf: (accountId: AccountId) => number | undefined;
  readonly fullnessMax: number;
}

/** An account with fewer unfinished tasks did not fill a stream of a million blocks. */
const littleWaiting = 10_000;
/** A stream drains in seconds when agents take what is in it, and in minutes when nobody does. */
const retryMs = { little: 5_000, all: 15_000 };

export function createStreamGuard({ random, fullness, waitingOf, fullnessMax }: StreamGuardOptions): StreamGuard {
  const closedFrom = (fullnessMax + 1) / 2;
  return {
    refusalOf(accountId) {
      const share = fullness() ?? 0;
      if (share < fullnessMax || fullnessMax >= 1) return undefined;
      if (share >= closedFrom)
        return streamFull("it takes nothing for now", share, spreadDelayMs(retryMs.all, random.next()));
      if ((waitingOf(accountId) ?? 0) < littleWaiting) return undefined;
      const why = `it takes nothing from accounts with more than ${littleWaiting} unfinished tasks`;
      return streamFull(why, share, spreadDelayMs(retryMs.little, random.next()));
    },
  };
}

function streamFull(why: string, share: number, retryAfterMs: number): AppError {
  const seconds = Math.ceil(retryAfterMs / 1_000);
  const percent = Math.floor(100 * share);
  const message = `the queue is ${percent} % full, and ${why}; submit it again in ${seconds} s`;
  return new AppError("exhausted", "QUEUE_FULL", message, { retryAfterMs });
}
