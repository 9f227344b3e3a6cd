// The weights of accounts, for whoever divides something among them. The leader's round never waits for the store: what is
// not known yet counts as 1, and is read meanwhile for the next round.
import type { AccountId, Clock } from "@sluice/core";

/** Weights by account; those that are left out have 1. Rejects while the store is away. */
export type ReadWeights = (accounts: readonly AccountId[]) => Promise<ReadonlyMap<AccountId, number>>;

export interface AccountWeights {
  /** As far as they are known. Reads what is not, or not lately, in the background. */
  of(accounts: readonly AccountId[]): (accountId: AccountId) => number;
}

/** A weight that was read longer ago is read again. */
const ageMaxMs = 10_000;
/** Accounts of one read; the others come with the next. */
const readMax = 512;
const knownMax = 8_192;

interface Known {
  readonly weight: number;
  /** Monotonic. */
  readonly readAt: number;
}

export function createAccountWeights({
  clock,
  read,
}: {
  readonly clock: Clock;
  readonly read: ReadWeights;
}): AccountWeights {
  let known = new Map<AccountId, Known>();
  let isReading = false;

  async function refresh(accounts: readonly AccountId[]): Promise<void> {
    isReading = true;
    const readAt = clock.monotonic();
    try {
      const found = await read(accounts);
      if (known.size + accounts.length > knownMax) known = new Map();
      for (const accountId of accounts) known.set(accountId, { weight: found.get(accountId) ?? 1, readAt });
    } catch {
      // What was known stays; the next round asks again.
    } finally {
      isReading = false;
    }
  }

  return {
    of(accounts) {
      const now = clock.monotonic();
      const isOld = (accountId: AccountId) =>
        now - (known.get(accountId)?.readAt ?? Number.NEGATIVE_INFINITY) > ageMaxMs;
      const old = isReading ? [] : accounts.filter(isOld).slice(0, readMax);
      if (old.length > 0) void refresh(old);
      return (accountId) => known.get(accountId)?.weight ?? 1;
    },
  };
}
