import { copyFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { FakeClock } from "@sluice/core/testing";
import { createAuthority } from "@sluice/testbed/certificates";
import { afterAll, expect, test } from "vitest";
import { systemClock } from "./clock.ts";
import { ConfigError, parseConfig } from "./config/config.ts";
import { createLogger, silentLogger } from "./logger.ts";
import { openTls, type TlsConfig, tlsProblems, tlsSettings } from "./tls.ts";

const authority = createAuthority();
afterAll(() => authority[Symbol.dispose]());
const own = authority.issue("own");
const other = authority.issue("other");
const off: TlsConfig = { tlsCa: undefined, tlsCert: undefined, tlsKey: undefined, tlsClientAuth: "none" };
const on: TlsConfig = { ...off, tlsCa: authority.ca, tlsCert: own.cert, tlsKey: own.key };
const file = (name: string, content: string) => {
  writeFileSync(join(authority.folder, name), content);
  return join(authority.folder, name);
};

test("nothing set, an authority alone for a caller, and a whole set are right", () => {
  expect(tlsProblems(off, { serves: true })).toEqual([]);
  expect(tlsProblems({ ...off, tlsCa: authority.ca }, { serves: false })).toEqual([]);
  expect(tlsProblems({ ...on, tlsClientAuth: "require" }, { serves: true })).toEqual([]);
});

test.each<[string, Partial<TlsConfig>, string]>([
  ["a certificate without a key", { tlsKey: undefined }, "--tls-cert needs its --tls-key"],
  ["a key without a certificate", { tlsCert: undefined }, "--tls-key needs its --tls-cert"],
  ["no authority", { tlsCa: undefined }, "--tls-cert and --tls-key need --tls-ca"],
  [
    "no certificate to serve with",
    { tlsCert: undefined, tlsKey: undefined },
    "--tls-ca needs --tls-cert and --tls-key",
  ],
  ["a demand without an authority", { ...off, tlsClientAuth: "require" }, "--tls-client-auth require needs --tls-ca"],
  ["a file that is missing", { tlsCa: "/nowhere/ca.pem" }, "--tls-ca cannot be read: ENOENT"],
  ["an authority that is none", { tlsCa: own.key }, "--tls-ca has no certificate in PEM"],
  ["a certificate that is none", { tlsCert: own.key }, "--tls-cert has no certificate in PEM"],
  [
    "a damaged certificate",
    { tlsCert: file("bad.pem", "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n") },
    "--tls-cert has no certificate",
  ],
  ["a key that is none", { tlsKey: own.cert }, "--tls-key has no private key in PEM"],
  ["another certificate's key", { tlsKey: other.key }, "--tls-key does not belong to --tls-cert"],
])("%s is a problem", (_what, wrong, problem) => {
  const problems = tlsProblems({ ...on, ...wrong }, { serves: true });
  expect(problems).toEqual(expect.arrayContaining([expect.stringContaining(problem)]));
});

test("a certificate that expired, or is not valid yet, is a problem", () => {
  const now = systemClock.now();
  expect(tlsProblems(on, { serves: true }, now + 36 * 3_600_000)).toEqual([
    expect.stringContaining("--tls-cert expired on"),
  ]);
  expect(tlsProblems(on, { serves: true }, now + 72 * 3_600_000)).toEqual([
    "--tls-ca has no certificate that is valid today",
    expect.stringContaining("--tls-cert expired on"),
  ]);
  expect(tlsProblems(on, { serves: true }, now - 86_400_000)).toContainEqual(
    expect.stringContaining("--tls-cert is not valid before"),
  );
});

test("everything that is wrong is said at once, under the names of the settings", () => {
  const spec = {
    service: "agent",
    summary: "Runs.",
    settings: tlsSettings,
    checks: [(config: TlsConfig) => tlsProblems(config, { serves: true })],
  };
  const argv = ["--tls-client-auth", "require"];
  const env = { SLUICE_TLS_CA: "/nowhere/ca.pem", SLUICE_TLS_KEY: "/nowhere/key.pem" };
  const parse = () => parseConfig(spec, { argv, env });
  expect(parse).toThrow(ConfigError);
  expect(parse).toThrow(/--tls-key needs[\s\S]+--tls-ca cannot be read[\s\S]+--tls-key cannot be read/);
  expect(parseConfig(spec, { argv: [], env: {} })).toEqual(off);
});

test("a problem does not quote the key", () => {
  const broken = file("broken.key", "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n");
  expect(tlsProblems({ ...on, tlsKey: broken }, { serves: true }).join()).not.toContain("c2VjcmV0");
});

test("without an authority there is no encryption", () => {
  expect(openTls(off, { clock: systemClock, log: silentLogger })).toBeUndefined();
});

test("new files come into use when all of them are right, and wrong ones are logged once", async () => {
  const clock = new FakeClock({ wallStart: systemClock.now() });
  const lines: string[] = [];
  const log = createLogger({ service: "test", stream: { write: (line) => lines.push(line) } });
  const [cert, key] = [join(authority.folder, "used.pem"), join(authority.folder, "used.key")];
  copyFileSync(own.cert, cert);
  copyFileSync(own.key, key);
  const tls = openTls({ ...on, tlsCert: cert, tlsKey: key }, { clock, log });
  if (tls === undefined) throw new Error("TLS is on");
  let changes = 0;
  const silence = tls.watch(() => {
    changes += 1;
  });
  const stop = new AbortController();
  const running = tls.run(stop.signal);
  const before = tls.files;

  copyFileSync(other.cert, cert);
  await clock.advance(180_000);
  expect(tls.files).toBe(before);
  expect(lines.filter((line) => line.includes("the former ones stay in use"))).toHaveLength(1);
  copyFileSync(other.key, key);
  await clock.advance(60_000);
  expect(tls.files).toEqual(authority.files(other));
  expect(changes).toBe(1);

  silence();
  copyFileSync(own.cert, cert);
  copyFileSync(own.key, key);
  await clock.advance(60_000);
  expect(tls.files).toEqual(before);
  expect(changes).toBe(1);
  stop.abort();
  await running;
  expect(lines.join("")).not.toContain("PRIVATE KEY");
  expect(lines.some((line) => line.includes("expires soon"))).toBe(true);
});
