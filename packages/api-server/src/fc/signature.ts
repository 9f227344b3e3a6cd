// The signature ACS3-HMAC-SHA256 of Alibaba Cloud's SDKs, as a server computes it again from the request. The body is covered by its
// digest in `x-acs-content-sha256`, so a signature can be checked before the body is read.
import { createHash, createHmac } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { AppError } from "@sluice/core";

export interface SignedHead {
  readonly method: string;
  /** Path and query as they were sent. */
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
}

interface Authorization {
  readonly keyId: string;
  /** Lower-case names, in their order. */
  readonly signedHeaders: readonly string[];
  /** 64 hexadecimal digits. */
  readonly signature: string;
}

export const algorithm = "ACS3-HMAC-SHA256";
export const bodyDigestHeader = "x-acs-content-sha256";
export const dateHeader = "x-acs-date";
/** What the header `authorization` may be. */
export const forms = `\`${algorithm} Credential=<key id>,SignedHeaders=<names>,Signature=<64 hex digits>\`, or \`Bearer <key id>:<secret>\``;

const queryNamePattern = /^[A-Za-z0-9_.-]{1,100}$/;
/** What would make a signature worth nothing if it did not cover it. */
const mustBeSigned = ["host", dateHeader, bodyDigestHeader, "x-acs-signature-nonce"];
const pattern =
  /^ACS3-HMAC-SHA256 Credential=([A-Za-z0-9_-]{1,64}), ?SignedHeaders=([a-z0-9;-]{1,2000}), ?Signature=([0-9a-f]{64})$/;

/** Throws `MALFORMED_CREDENTIAL`, also if the signature leaves out what it must cover. */
export function parseAuthorization(header: string, headers: IncomingHttpHeaders): Authorization {
  const [, keyId, names, signature] = pattern.exec(header) ?? [];
  if (keyId === undefined || names === undefined || signature === undefined) throw malformed(`must read ${forms}`);
  const signedHeaders = names.split(";");
  const unsigned = [...mustBeSigned, ...("content-type" in headers ? ["content-type"] : [])].filter(
    (name) => headers[name] === undefined || !signedHeaders.includes(name),
  );
  if (unsigned.length > 0) throw malformed(`must cover the headers ${unsigned.join(", ")}`);
  return { keyId, signedHeaders, signature };
}

/** The 64 hexadecimal digits that belong to the request. */
export function signatureOf(secret: string, head: SignedHead, signedHeaders: readonly string[]): string {
  const text = `${algorithm}\n${sha256(canonicalRequest(head, signedHeaders))}`;
  return createHmac("sha256", secret).update(text).digest("hex");
}

export function sha256(data: string | Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}

function canonicalRequest({ method, url, headers }: SignedHead, signedHeaders: readonly string[]): string {
  const [path = "", query = ""] = split(url, "?");
  const uri = path.replaceAll("+", "%20").replaceAll("*", "%2A").replaceAll("%7E", "~");
  const lines = signedHeaders.map((name) => `${name}:${String(headers[name] ?? "").trim()}\n`);
  return [
    method,
    uri,
    canonicalQuery(query),
    lines.join(""),
    signedHeaders.join(";"),
    headers[bodyDigestHeader] ?? "",
  ].join("\n");
}

/** Decoded, sorted by name, and only the values encoded again. */
function canonicalQuery(query: string): string {
  const pairs = query.split("&").flatMap((part) => {
    if (part === "") return [];
    const [name = "", value = ""] = split(part, "=");
    // Names are signed as they are: with others, one name could stand for two parameters.
    if (!queryNamePattern.test(name))
      throw malformed("belongs to a query with a name that is no letters, digits, _, - or .");
    return [[name, decode(value)] as const];
  });
  pairs.sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  return pairs.map(([name, value]) => `${name}=${encode(value)}`).join("&");
}

function split(text: string, separator: string): [string, string?] {
  const at = text.indexOf(separator);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    throw malformed("belongs to a query that is not percent-encoded UTF-8");
  }
}

/** As RFC 3986 has it, of which `encodeURIComponent` leaves five characters out. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}

function malformed(what: string): AppError {
  return new AppError("unauthenticated", "MALFORMED_CREDENTIAL", `the header \`authorization\` ${what}`);
}
