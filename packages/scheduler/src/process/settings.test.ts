import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";

test("the process tells everything that is wrong at once, no secret, and ends with 2", () => {
  const main = join(import.meta.dirname, "../main.ts");
  const flags = ["--http-port", "http", "--lease-profile", "slow", "--capacity", "0", "--retention-ms", "1s"];
  const { status, stderr } = spawnSync(process.execPath, ["--import", "tsx", main, ...flags], {
    env: { PATH: process.env["PATH"], SLUICE_POSTGRES_URL: "hunter2", SLUICE_NATS_SERVERS: "nats" },
    encoding: "utf8",
  });
  expect(status).toBe(2);
  expect(stderr).toContain("sluice-scheduler: cannot start");
  for (const wrong of [
    "--http-port must be a whole number from 0 to 65535",
    "--lease-profile must be one of default, fast",
    "--capacity must be a number from 0.1 to 1000",
    "--retention-ms must be a duration",
    "SLUICE_POSTGRES_URL must be an address",
    "SLUICE_NATS_SERVERS must be addresses",
    "--etcd-hosts (SLUICE_ETCD_HOSTS) is missing",
    "SLUICE_JOIN_TOKEN is missing",
  ]) {
    expect(stderr).toContain(wrong);
  }
  expect(stderr).not.toContain("hunter2");
});
