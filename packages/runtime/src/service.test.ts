import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { seededRandom } from "@sluice/core/testing";
import { expect, test } from "vitest";
import { processName } from "./service.ts";

/** Runs the fixture, and `whenServing` once it has said where it listens. Resolves with how it ended. */
async function run(flags: readonly string[], whenServing: (child: ChildProcess) => void = () => undefined) {
  const fixture = join(import.meta.dirname, "service.fixture.ts");
  const child = spawn(process.execPath, ["--import", "tsx", fixture, ...flags], { stdio: ["ignore", "pipe", "pipe"] });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (chunk: Buffer) => {
    stdout += chunk;
    whenServing(child);
  });
  child.stderr.on("data", (chunk: Buffer) => {
    stderr += chunk;
  });
  const [code] = (await once(child, "close")) as [number | null];
  const log = stderr.split("\n").flatMap((line) => (line.startsWith("{") ? [JSON.parse(line) as LogLine] : []));
  return { code, stdout, stderr, log };
}

interface LogLine {
  readonly level: string;
  readonly msg: string;
  readonly reason?: string;
  readonly cause?: { readonly message: string };
}

test("a signal ends it with 0; one line on standard output says where it listens", async () => {
  const { code, stdout, log } = await run([], (child) => child.kill("SIGTERM"));
  expect([code, stdout]).toEqual([0, "example is on nowhere\n"]);
  expect(log.map(({ msg }) => msg)).toEqual(["stopping", "stopped"]);
});

test("a failure ends it with 1 and is logged", async () => {
  const { code, log } = await run(["--behaviour", "fail"]);
  expect(code).toBe(1);
  expect(log).toMatchObject([
    { level: "error", reason: "ADDRESS_UNAVAILABLE", cause: { message: "somebody else listens there" } },
  ]);
});

test("a rejection that nobody caught ends it with 1 and is logged", async () => {
  const { code, log } = await run(["--behaviour", "reject"]);
  expect(code).toBe(1);
  expect(log).toMatchObject([{ level: "error", cause: { message: "nobody caught me" } }]);
});

test("one that does not stop in time is ended with 1", async () => {
  const { code, log } = await run(["--behaviour", "hang"], (child) => child.kill("SIGTERM"));
  expect(code).toBe(1);
  expect(log.at(-1)).toMatchObject({ level: "error", msg: "did not stop in time" });
});

test("what the runtime warns of is a line of the log", async () => {
  const { stderr, log } = await run(["--behaviour", "warn"], (child) => child.kill("SIGTERM"));
  expect(log).toContainEqual(expect.objectContaining({ level: "warn", msg: "a warning of the runtime" }));
  expect(stderr.trim().split("\n")).toHaveLength(log.length);
});

test("wrong settings end it with 2", async () => {
  const { code, stderr } = await run(["--behaviour", "wrong", "--colour", "red"]);
  expect(code).toBe(2);
  expect(stderr).toContain("--behaviour must be one of serve, fail, reject, hang, warn");
  expect(stderr).toContain("--colour is not a flag");
});

test("a process without a name gets one that differs in every life", () => {
  const random = seededRandom(1);
  const names = [processName(random), processName(random)];
  for (const name of names) expect(name).toMatch(/^[A-Za-z0-9][A-Za-z0-9.-]*-[0-9a-f]{8}$/);
  expect(new Set(names).size).toBe(2);
});
