import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { resolveConnection } from "./connection.ts";
import { UsageError } from "./errors.ts";

const flags = { retryTimeout: 5 };
const profile = { address: "127.0.0.1:7", accessKeyId: "id", accessKeySecret: "secret" };

async function aFolder(content?: string) {
  const directory = await mkdtemp(join(tmpdir(), "sluice-"));
  await mkdir(join(directory, ".sluice"));
  if (content !== undefined) await writeFile(join(directory, ".sluice", "client.json"), content, { mode: 0o600 });
  return { directory, [Symbol.asyncDispose]: () => rm(directory, { recursive: true }) };
}

test("flags come before the environment, and the environment before the profile", async () => {
  await using folder = await aFolder(JSON.stringify(profile));
  const environment = {
    SLUICE_ADDRESS: "env:1",
    SLUICE_ACCESS_KEY_ID: "env-id",
    SLUICE_ACCESS_KEY_SECRET: "env-secret",
  };

  const fromProfile = await resolveConnection(flags, { ...folder, environment: { SLUICE_ADDRESS: "" } });
  const fromEnvironment = await resolveConnection(flags, { ...folder, environment });
  const fromFlags = await resolveConnection(
    { ...flags, address: "flag:1", accessKeyId: "flag-id" },
    { ...folder, environment },
  );

  expect(fromProfile).toEqual({ ...profile, retryTimeoutMs: 5 });
  expect(fromEnvironment).toMatchObject({ address: "env:1", accessKeyId: "env-id", accessKeySecret: "env-secret" });
  expect(fromFlags).toMatchObject({ address: "flag:1", accessKeyId: "flag-id", accessKeySecret: "env-secret" });
});

test("the credential of the profile is not sent to another server", async () => {
  await using folder = await aFolder(JSON.stringify(profile));

  const other = await resolveConnection({ ...flags, address: "example.com:443" }, { ...folder, environment: {} });

  expect(other).toEqual({ address: "example.com:443", retryTimeoutMs: 5 });
});

test("without anything it is the local server, without a credential", async () => {
  await using folder = await aFolder();

  const found = await resolveConnection(flags, { ...folder, environment: {} });

  expect(found).toEqual({ address: "127.0.0.1:50051", retryTimeoutMs: 5 });
});

test("half a credential and a broken profile are refused", async () => {
  await using broken = await aFolder("not json");
  await using folder = await aFolder();

  await expect(resolveConnection(flags, { ...broken, environment: {} })).rejects.toBeInstanceOf(UsageError);
  await expect(resolveConnection({ ...flags, accessKeyId: "id" }, { ...folder, environment: {} })).rejects.toThrow(
    "both",
  );
});

test("files of flags and environment switch TLS on; flags come first", async () => {
  await using folder = await aFolder();
  for (const name of ["ca", "cert", "key", "other"]) await writeFile(join(folder.directory, `${name}.pem`), name);
  const environment = { SLUICE_TLS_CA: "other.pem", SLUICE_TLS_CERT: "cert.pem", SLUICE_TLS_KEY: "key.pem" };
  const tlsOf = async (given: object, variables: object = {}) =>
    (await resolveConnection({ ...flags, ...given }, { ...folder, environment: { ...variables } })).tls;

  expect(await tlsOf({})).toBeUndefined();
  expect(await tlsOf({ tls: true })).toBe(true);
  expect(await tlsOf({ ca: "ca.pem" })).toEqual({ ca: Buffer.from("ca") });
  expect(await tlsOf({ ca: "ca.pem" }, environment)).toEqual({
    ca: Buffer.from("ca"),
    cert: Buffer.from("cert"),
    key: Buffer.from("key"),
  });
  await expect(tlsOf({ cert: "cert.pem" })).rejects.toThrow("both a client certificate and its key");
  await expect(tlsOf({ ca: "none.pem" })).rejects.toMatchObject({ code: "ENOENT" });
});
