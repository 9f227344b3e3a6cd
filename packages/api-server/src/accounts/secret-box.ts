import { createCipheriv, createDecipheriv, createHmac } from "node:crypto";
import { AppError, assert } from "@sluice/core";

const algorithm = "aes-256-gcm";
const format = 1;
const nonceBytes = 12;
const tagBytes = 16;

/**
 * Encrypts a secret for one key id: `1 | nonce | tag | ciphertext`. The nonce is derived from what is encrypted, so it can
 * repeat only for the same text under the same key id, where it gives away nothing, and needs no randomness.
 */
export function sealSecret(masterKey: Uint8Array, keyId: string, secret: string): Uint8Array {
  assert(masterKey.length === 32, "the master key has 32 bytes");
  const nonce = createHmac("sha256", masterKey).update(`nonce\0${keyId}\0${secret}`).digest().subarray(0, nonceBytes);
  const cipher = createCipheriv(algorithm, masterKey, nonce).setAAD(Buffer.from(keyId));
  const sealed = Buffer.concat([cipher.update(secret, "utf8"), cipher.final()]);
  return Buffer.concat([Buffer.of(format), nonce, cipher.getAuthTag(), sealed]);
}

/** The secret. Throws `WRONG_MASTER_KEY` if it was sealed under another master key or for another key id. */
export function openSecret(masterKey: Uint8Array, keyId: string, sealed: Uint8Array): string {
  try {
    assert(sealed[0] === format, "an unknown format of sealed secrets");
    const nonce = sealed.subarray(1, 1 + nonceBytes);
    const tag = sealed.subarray(1 + nonceBytes, 1 + nonceBytes + tagBytes);
    const decipher = createDecipheriv(algorithm, masterKey, nonce, { authTagLength: tagBytes });
    decipher.setAAD(Buffer.from(keyId)).setAuthTag(tag);
    return decipher.update(sealed.subarray(1 + nonceBytes + tagBytes), undefined, "utf8") + decipher.final("utf8");
  } catch (cause) {
    throw new AppError(
      "internal",
      "WRONG_MASTER_KEY",
      "an access key cannot be decrypted; start with the master key under which it was created",
      { cause },
    );
  }
}
