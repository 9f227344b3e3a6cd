import { timingSafeEqual } from "node:crypto";
import { AccountId, AppError } from "@sluice/core";
import type { CallContext } from "@sluice/protocol";
import { parseCredential } from "./access-key.ts";
import { digest, type LookUpKey } from "./known-keys.ts";

/** The account of a call; throws with code `unauthenticated`. */
export type Authenticate = (context: CallContext) => Promise<AccountId>;

/** The account of every call when authentication is off. */
export const localAccount = AccountId("local");

export interface AuthenticateOptions {
  readonly auth: "keys" | "none";
  readonly lookUpKey: LookUpKey;
}

export function createAuthenticate({ auth, lookUpKey }: AuthenticateOptions): Authenticate {
  return async ({ accountId, headers }) => {
    if (accountId !== undefined) return accountId;
    if (auth === "none") return localAccount;
    const credential = parseCredential(headers?.["authorization"]);
    const key = await lookUpKey(credential.keyId);
    // The digest is made and compared in any case, so that this does not tell which key ids exist.
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
