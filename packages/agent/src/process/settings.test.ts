import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { parseConfig } from "@sluice/runtime";
import { expect, test } from "vitest";
import { agentSpec } from "./settings.ts";

const parse = (...argv: string[]) =>
  parseConfig(agentSpec, {
    argv: ["--agent-id", "a", ...argv],
    env: { SLUICE_JOIN_TOKEN: "join-token-of-the-cluster" },
  });

test("the process tells everything that is wrong at once, no secret, and ends with 2", () => {
  const main = join(import.meta.dirname, "../main.ts");
  const flags = [
    "--api-servers",
    "api-1,api-2",
    "--slots",
    "0",
    "--drain-ms",
    "soon",
    "--advertise-address",
    "http://a:1",
  ];
  const { status, stderr } = spawnSync(process.execPath, ["--import", "tsx", main, ...flags], {
    env: { PATH: process.env["PATH"], SLUICE_JOIN_TOKEN: "hunter2" },
    encoding: "utf8",
  });
  expect(status).toBe(2);
  expect(stderr).toContain("sluice-agent: cannot start");
  for (const wrong of [
    "--agent-id (SLUICE_AGENT_ID) is missing",
    "--api-servers must be addresses",
    "--slots must be a whole number from 1 to 10000",
    "--drain-ms must be a duration",
    "--advertise-address must be a host",
    "SLUICE_JOIN_TOKEN must be",
  ]) {
    expect(stderr).toContain(wrong);
  }
  expect(stderr).not.toContain("hunter2");
});

test("an agent that listens everywhere must say where it is", () => {
  expect(() => parse("--host", "0.0.0.0")).toThrow("--advertise-address must say");
  expect(parse("--host", "0.0.0.0", "--advertise-address", "agent-1.example").advertiseAddress).toBe("agent-1.example");
});
