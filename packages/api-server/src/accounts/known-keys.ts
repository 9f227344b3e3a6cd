import { createHash } from "node:crypto";
import type { AccountId, Clock } from "@sluice/core";
import type { Store } from "@sluice/store";
import { LRUCache } from "lru-cache";
import { openSecret } from "./secret-box.ts";

export interface KnownKey {
  readonly accountId: AccountId;
  readonly secret: string;
  readonly secretDigest: Buffer;
}

/** An access key by its id; undefined: there is none, or it is disabled. */
export type LookUpKey = (keyId: string) => Promise<KnownKey | undefined>;

export interface KnownKeysOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly masterKey: Uint8Array;
  /** How long a decrypted key is believed. */
  readonly keyCacheMs: number;
}

const keysCachedMax = 1_000;

/** Keys as the store has them, kept decrypted for a while. */
export function createKnownKeys({ store, clock, masterKey, keyCacheMs }: KnownKeysOptions): LookUpKey {
  // Holds promises, so that a thousand calls that arrive together read their key once.
  const cache = new LRUCache<string, { readonly readAt: number; readonly key: Promise<KnownKey | undefined> }>({
    max: keysCachedMax,
  });

  async function read(keyId: string): Promise<KnownKey | undefined> {
    const key = await store.accounts.key(keyId);
    if (key === undefined || !key.enabled) return undefined;
    const secret = openSecret(masterKey, keyId, key.encryptedSecret);
    return { accountId: key.accountId, secret, secretDigest: digest(secret) };
  }

  return (keyId) => {
    const cached = cache.get(keyId);
    if (cached !== undefined && clock.monotonic() - cached.readAt < keyCacheMs) return cached.key;
    const entry = { readAt: clock.monotonic(), key: read(keyId) };
    cache.set(keyId, entry);
    // Neither a failure nor an unknown key is remembered: the next call may find it.
    const forget = () => {
      if (cache.peek(keyId) === entry) cache.delete(keyId);
    };
    entry.key.then((key) => key ?? forget(), forget);
    return entry.key;
  };
}

/** What secrets are compared by: of the same length whatever they are. */
export function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
