import { randomBytes } from "node:crypto";
import { type AccountId, AppError, invalid } from "@sluice/core";
import type { Store } from "@sluice/store";
import { openSecret, sealSecret } from "./secret-box.ts";

export interface Credential {
  readonly keyId: string;
  readonly secret: string;
}

export interface NewAccessKey {
  readonly accountId: AccountId;
  /** 1 to 64 letters, digits, `_` or `-`; default: unguessable. */
  readonly keyId?: string;
  /** 8 to 128 printable ASCII characters without spaces; default: unguessable. */
  readonly secret?: string;
}

const keyIdPattern = /^[A-Za-z0-9_-]{1,64}$/;
const secretPattern = /^[\x21-\x7e]{8,128}$/;
const bearerPattern = /^Bearer ([A-Za-z0-9_-]{1,64}):([\x21-\x7e]{8,128})$/i;

/**
 * Creates an access key (and its account). A key that exists already with this secret and account is returned as it is, so a
 * start with the same settings may repeat it; otherwise throws `ACCESS_KEY_EXISTS`.
 */
export async function createAccessKey(
  store: Store,
  masterKey: Uint8Array,
  {
    accountId,
    keyId = `ak${randomBytes(10).toString("hex")}`,
    secret = randomBytes(24).toString("base64url"),
  }: NewAccessKey,
): Promise<Credential & { readonly created: boolean }> {
  if (!keyIdPattern.test(keyId)) {
    throw invalid("INVALID_ACCESS_KEY_ID", "key_id", "an access key id has 1 to 64 letters, digits, `_` or `-`");
  }
  if (!secretPattern.test(secret)) {
    throw invalid("INVALID_ACCESS_KEY_SECRET", "secret", "a secret has 8 to 128 printable ASCII characters, no spaces");
  }
  const encryptedSecret = sealSecret(masterKey, keyId, secret);
  const created = await store.accounts.createKey({ keyId, accountId, encryptedSecret, enabled: true });
  if (!created && !(await isTheSame(store, masterKey, { accountId, keyId, secret }))) {
    throw new AppError("exists", "ACCESS_KEY_EXISTS", "this access key id is taken; choose another one", {
      field: "key_id",
    });
  }
  return { keyId, secret, created };
}

async function isTheSame(store: Store, masterKey: Uint8Array, wanted: Required<NewAccessKey>): Promise<boolean> {
  const found = await store.accounts.key(wanted.keyId);
  if (found === undefined || found.accountId !== wanted.accountId) return false;
  return openSecret(masterKey, found.keyId, found.encryptedSecret) === wanted.secret;
}

/** The credential in the header `authorization: Bearer <key id>:<secret>`. */
export function parseCredential(header: string | undefined): Credential {
  if (header === undefined || header === "") {
    throw new AppError("unauthenticated", "MISSING_CREDENTIAL", "send `authorization: Bearer <key id>:<secret>`");
  }
  const match = bearerPattern.exec(header);
  if (match === null) {
    throw new AppError(
      "unauthenticated",
      "MALFORMED_CREDENTIAL",
      "`authorization` must read `Bearer <key id>:<secret>`",
    );
  }
  return { keyId: match[1] as string, secret: match[2] as string };
}
