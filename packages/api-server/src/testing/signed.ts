import { randomUUID } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { algorithm, bodyDigestHeader, dateHeader, sha256, signatureOf } from "../fc/signature.ts";

export interface SignOptions {
  readonly keyId: string;
  readonly secret: string;
  /** Of the request, in ms since the epoch. */
  readonly at: number;
}

/** The headers of a request as the official SDK signs it. */
export function signedHeaders(
  { method, url, body = "" }: { readonly method: string; readonly url: string; readonly body?: string },
  { keyId, secret, at }: SignOptions,
): Record<string, string> {
  const { host, pathname, search } = new URL(url);
  const headers = {
    host,
    [dateHeader]: Number.isNaN(at) ? "yesterday" : new Date(at).toISOString().replace(/\.\d+Z$/, "Z"),
    "x-acs-signature-nonce": randomUUID(),
    [bodyDigestHeader]: sha256(body),
    ...(body && { "content-type": "application/octet-stream" }),
  } satisfies IncomingHttpHeaders;
  const names = Object.keys(headers).sort();
  const signature = signatureOf(secret, { method, url: pathname + search, headers }, names);
  return {
    ...headers,
    authorization: `${algorithm} Credential=${keyId},SignedHeaders=${names.join(";")},Signature=${signature}`,
  };
}
