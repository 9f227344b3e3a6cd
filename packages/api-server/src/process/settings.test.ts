import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { parseConfig } from "@sluice/runtime";
import { expect, test } from "vitest";
import { apiServerSpec } from "./settings.ts";

const good = {
  SLUICE_POSTGRES_URL: "postgres://sluice@db/sluice",
  SLUICE_NATS_SERVERS: "nats:4222",
  SLUICE_ETCD_HOSTS: "etcd:2379",
  SLUICE_JOIN_TOKEN: "join-token-of-the-cluster",
  SLUICE_MASTER_KEY: "ab".repeat(32),
};
const parse = (env: Record<string, string>, argv: string[] = []) =>
  parseConfig(apiServerSpec, { argv, env: { ...good, ...env } });

test("the process tells everything that is wrong at once, no secret, and ends with 2", () => {
  const main = join(import.meta.dirname, "../main.ts");
  const flags = ["--grpc-port", "70000", "--auth", "maybe", "--payload-bytes-max", "lots", "--nonsense"];
  const { status, stderr } = spawnSync(process.execPath, ["--import", "tsx", main, ...flags], {
    env: { PATH: process.env["PATH"], SLUICE_MASTER_KEY: "hunter2", SLUICE_JOIN_TOKEN: "short" },
    encoding: "utf8",
  });
  expect(status).toBe(2);
  expect(stderr).toContain("sluice-api-server: cannot start");
  for (const wrong of [
    "--nonsense is not a flag",
    "--grpc-port must be a whole number from 0 to 65535",
    "--auth must be one of keys, none",
    "--payload-bytes-max must be a size",
    "SLUICE_MASTER_KEY must be 64 hexadecimal digits",
    "SLUICE_JOIN_TOKEN must be",
    "SLUICE_POSTGRES_URL is missing",
    "--nats-servers (SLUICE_NATS_SERVERS) is missing",
    "--etcd-hosts (SLUICE_ETCD_HOSTS) is missing",
  ]) {
    expect(stderr).toContain(wrong);
  }
  expect(stderr).not.toMatch(/hunter2|short/);
});

test("what every cluster must say is enough", () => {
  expect(parse({})).toMatchObject({ auth: "keys", grpcPort: 50_051, accessKeyAccount: "default", reflection: true });
});

test("without keys it serves loopback only", () => {
  for (const [flag, value] of [
    ["--grpc-host", "0.0.0.0"],
    ["--http-host", "0.0.0.0"],
    ["--fc-address", "0.0.0.0:8090"],
    ["--fc-address", "[::]:8090"],
  ] as const) {
    expect(() => parse({}, ["--auth", "none", flag, value]), flag).toThrow(`${flag} must be a loopback address`);
  }
  expect(parse({}, ["--auth", "none", "--fc-address", "[::1]:0"]).fcAddress).toBe("[::1]:0");
  expect(parse({}, ["--auth", "none"]).auth).toBe("none");
});

test("an address that could not be listened on is told before anything starts", () => {
  for (const flag of ["--fc-address", "--scaler-address"]) {
    expect(() => parse({}, [flag, "host:65536"])).toThrow(`${flag} must have a port from 0 to 65535, not host:65536`);
    expect(() => parse({}, [flag, "host"])).toThrow(`${flag} must be host:port`);
    expect(() => parse({}, [flag, "[::1]:65535"])).not.toThrow();
  }
});

test("half an access key, and one that could not be created, are told before anything starts", () => {
  expect(() => parse({ SLUICE_ACCESS_KEY_ID: "key" })).toThrow("must be given together");
  expect(() => parse({ SLUICE_ACCESS_KEY_ID: "a b", SLUICE_ACCESS_KEY_SECRET: "short" })).toThrow(
    /--access-key-id|SLUICE_ACCESS_KEY_ID must be 1 to 64/,
  );
});
