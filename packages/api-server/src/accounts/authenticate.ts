import { createHash, timingSafeEqual } from "node:crypto";
import { AccountId, AppError, type Clock } from "@sluice/core";
import type { CallContext } from "@sluice/protocol";
import type { Store } from "@sluice/store";
import { LRUCache } from "lru-cache";
import { parseCredential } from "./access-key.ts";
import { openSecret } from "./secret-box.ts";

/** The account of a call; throws with code `unauthenticated`. */
export type Authenticate = (context: CallContext) => Promise<AccountId>;

/** The account of every call when authentication is off. */
export const localAccount = AccountId("local");

export interface AuthenticateOptions {
  readonly auth: "keys" | "none";
  readonly store: Store;
  readonly clock: Clock;
  readonly masterKey: Uint8Array;
  /** How long a decrypted key is believed. */
  readonly keyCacheMs: number;
}

interface KnownKey {
  readonly accountId: AccountId;
  readonly secretDigest: Buffer;
}

const keysCachedMax = 1_000;

export function createAuthenticate({ auth, store, clock, masterKey, keyCacheMs }: AuthenticateOptions): Authenticate {
  if (auth === "none") return async () => localAccount;
  // Holds promises, so that a thousand calls that arrive together read their key once.
  const cache = new LRUCache<string, { readonly readAt: number; readonly key: Promise<KnownKey | undefined> }>({
    max: keysCachedMax,
  });

  async function read(keyId: string): Promise<KnownKey | undefined> {
    const key = await store.accounts.key(keyId);
    if (key === undefined || !key.enabled) return undefined;
    return { accountId: key.accountId, secretDigest: digest(openSecret(masterKey, keyId, key.encryptedSecret)) };
  }

  function lookUp(keyId: string): Promise<KnownKey | undefined> {
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
  }

  return async (context) => {
    const { authorization } = context.headers ?? {};
    const credential = parseCredential(authorization);
    const key = await lookUp(credential.keyId);
    // The digest is made and compared in any case: the time tells nothing about which key ids exist.
    const isRight = timingSafeEqual(digest(credential.secret), key?.secretDigest ?? digest(""));
    if (key === undefined || !isRight) {
      throw new AppError(
        "unauthenticated",
        "INVALID_CREDENTIAL",
        "unknown access key, wrong secret, or the key is disabled",
      );
    }
    return key.accountId;
  };
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
