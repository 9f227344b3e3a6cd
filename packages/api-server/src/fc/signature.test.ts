// Requests that the unmodified SDK sent, recorded with the keys of the documentation: `testing/vectors.json`.
import { readFileSync } from "node:fs";
import type { IncomingHttpHeaders } from "node:http";
import { join } from "node:path";
import { expect, test } from "vitest";
import { bodyDigestHeader, parseAuthorization, sha256, signatureOf } from "./signature.ts";

interface Vector {
  readonly name: string;
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly verifies: boolean;
}

const vectors: readonly Vector[] = JSON.parse(readFileSync(join(import.meta.dirname, "testing/vectors.json"), "utf8"));
const secret = "testAccessKeySecret";

function holds({ method, url, headers }: Vector): boolean {
  const { signedHeaders, signature } = parseAuthorization(headers.authorization ?? "", headers);
  return signatureOf(secret, { method, url, headers }, signedHeaders) === signature;
}

test("what the SDK signed is found again, but for the one that it encodes after it signed", () => {
  expect(vectors).toHaveLength(40);
  const differing = vectors.filter((vector) => holds(vector) !== vector.verifies);
  expect(differing.map(({ name }) => name)).toEqual([]);
  expect(vectors.filter((vector) => !holds(vector)).map(({ name }) => name)).toEqual(["GetAsyncTaskOddName"]);
  for (const { headers, body, name } of vectors) expect(sha256(body), name).toBe(headers[bodyDigestHeader]);
});

test("whatever the signature covers cannot be changed", () => {
  const right = vectors.find(({ name }) => name === "ListAsyncTasks") as Vector;
  expect(holds(right)).toBe(true);
  expect(holds({ ...right, method: "POST" })).toBe(false);
  expect(holds({ ...right, url: right.url.replace("demo", "demo2") })).toBe(false);
  expect(holds({ ...right, url: `${right.url}&limit=11` })).toBe(false);
  for (const name of right.headers.authorization?.match(/SignedHeaders=([^,]+)/)?.[1]?.split(";") ?? []) {
    expect(holds({ ...right, headers: { ...right.headers, [name]: "other" } }), name).toBe(false);
  }
});

test("a query with a name that could stand for two parameters is malformed", () => {
  const right = vectors.find(({ name }) => name === "ListAsyncTasks") as Vector;
  expect(() => holds({ ...right, url: right.url.replace("limit=10&nextToken=", "limit%3D10%26nextToken=") })).toThrow(
    /belongs to a query with a name that is no letters/,
  );
  expect(() => holds({ ...right, url: right.url.replace("prefix=", "prefix=%zz") })).toThrow(/percent-encoded/);
});

test.each([
  ["nothing", ""],
  ["another algorithm", "ACS3-RSA-SHA256 Credential=k,SignedHeaders=host,Signature=00"],
  ["half of it", "ACS3-HMAC-SHA256 Credential=k"],
])("%s is malformed", (_what, header) => {
  expect(() => parseAuthorization(header, {})).toThrow(/must read `ACS3-HMAC-SHA256 Credential=/);
});

test("a signature that leaves out what it must cover is malformed", () => {
  const header = `ACS3-HMAC-SHA256 Credential=k,SignedHeaders=x-acs-date,Signature=${"0".repeat(64)}`;
  const headers = { host: "h", "x-acs-date": "d", "content-type": "text/plain" };
  expect(() => parseAuthorization(header, headers)).toThrow(
    /must cover the headers host, x-acs-content-sha256, x-acs-signature-nonce, content-type/,
  );
});
