import type { AccountId, Clock, Limits } from "@sluice/core";
import type { Store } from "@sluice/store";
import { LRUCache } from "lru-cache";

/** The limits of accounts, which decide where their tasks lie. May be a moment behind: what lies elsewhere is moved. */
export interface KnownAccounts {
  /** Undefined: the account has no settings. */
  find(accountId: AccountId): Promise<Limits | undefined>;
  /** The account changed: read it again. */
  forget(accountId: string): void;
}

export interface KnownAccountsOptions {
  readonly store: Pick<Store, "accounts">;
  readonly clock: Clock;
  /** An account that was read longer ago is read again, because hints may be lost. */
  readonly ageMsMax: number;
}

const accountsMax = 10_000;

export function createKnownAccounts({ store, clock, ageMsMax }: KnownAccountsOptions): KnownAccounts {
  const cache = new LRUCache<string, { readonly limits: Limits | undefined; readonly readAt: number }>({
    max: accountsMax,
  });
  let forgotten = 0;
  return {
    async find(accountId) {
      const readAt = clock.monotonic();
      const cached = cache.get(accountId);
      if (cached !== undefined && readAt - cached.readAt < ageMsMax) return cached.limits;
      const forgottenBefore = forgotten;
      const [record] = await store.accounts.read([accountId]);
      // A hint that came during the read may be about what was read.
      if (forgotten === forgottenBefore) cache.set(accountId, { limits: record?.settings, readAt });
      return record?.settings;
    },
    forget(accountId) {
      forgotten += 1;
      cache.delete(accountId);
    },
  };
}
