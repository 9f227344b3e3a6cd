import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { exitCodes } from "../errors.ts";
import { jsonLines, startWorld } from "../testing.ts";

const succeeded = { status: 5, result: Buffer.from([0xff, 0x00, 0x41]), endedAtMs: 5 } as const;
const failed = { status: 6, error: { type: "FunctionTimeout", message: "too slow", body: Buffer.alloc(0) } } as const;

test("invoke waits and writes the result byte for byte; on a terminal it is made harmless", async () => {
  await using world = await startWorld();
  world.server.faults.becomes = () => succeeded;

  const piped = await world.sluice(["invoke", "f", "-e", '{"a":1}', "--task-id", "a", "--priority", "high"]);
  const shown = await world.sluice(["invoke", "f"], { isTerminal: true });

  expect(piped).toEqual({ exitCode: exitCodes.ok, stdout: "\u00ff\u0000A", stderr: "" });
  expect(shown.stdout).toBe("(3 B that are not UTF-8)\n");
  const task = world.server.tasks.get({ function: "f", taskId: "a" });
  expect([task.payload.toString(), task.priority]).toEqual(['{"a":1}', 2]);
});

test("a task that fails ends with 1 and its error on stderr", async () => {
  await using world = await startWorld();
  world.server.faults.becomes = () => failed;

  const { exitCode, stdout, stderr } = await world.sluice(["invoke", "f", "--task-id", "a"]);

  expect([exitCode, stdout, stderr]).toEqual([1, "", "task a Failed: FunctionTimeout: too slow\n"]);
});

test("invoke --json writes the task as one document, bytes that are no text as base64", async () => {
  await using world = await startWorld();
  world.server.faults.becomes = () => succeeded;

  const { stdout } = await world.sluice(["--json", "invoke", "f", "-e", "hé", "--task-id", "a"]);

  const [task] = jsonLines(stdout);
  expect(task).toMatchObject({ function: "f", taskId: "a", status: "Succeeded", payload: "hé", resultBase64: "/wBB" });
  expect(task).toMatchObject({ endedAtMs: 5, attempt: 1, priority: "normal" });
});

test("invoke --async writes only the task id", async () => {
  await using world = await startWorld();

  const plain = await world.sluice(["invoke", "f", "--async", "--task-id", "a", "--delay", "10s", "--expires", "1h"]);
  const json = await world.sluice(["invoke", "f", "--async", "--task-id", "b", "--json"]);

  expect(plain).toEqual({ exitCode: exitCodes.ok, stdout: "a\n", stderr: "" });
  expect(jsonLines(json.stdout)).toEqual([{ taskId: "b", repeated: false }]);
});

test("the same token submits once, with any number of runs", async () => {
  await using world = await startWorld();
  const line = ["invoke", "f", "--async", "--json", "--token", "order-17"];

  const first = jsonLines((await world.sluice(line)).stdout)[0];
  const second = jsonLines((await world.sluice(line)).stdout)[0];

  expect(second).toEqual({ taskId: first?.["taskId"], repeated: true });
});

test("invoke --file sends the file as it is", async () => {
  await using world = await startWorld();
  const directory = await mkdtemp(join(tmpdir(), "sluice-"));
  await writeFile(join(directory, "input"), Buffer.from([1, 255, 0]));

  await world.sluice(["invoke", "f", "--async", "--task-id", "a", "--file", "input"], { directory });

  expect([...world.server.tasks.get({ function: "f", taskId: "a" }).payload]).toEqual([1, 255, 0]);
  await rm(directory, { recursive: true });
});

test("a wait that takes too long ends with 5; the task goes on", async () => {
  await using world = await startWorld();

  const { exitCode, stderr } = await world.sluice(["invoke", "f", "--task-id", "a", "--timeout", "20ms"]);

  expect(exitCode).toBe(exitCodes.unavailable);
  expect(stderr).toContain("f/a is Enqueued after 20 ms; it goes on");
});

test("--stdin-lines submits one task per line, whatever the chunks and line ends", async () => {
  await using world = await startWorld();
  const input = ["one\r\n\ntw", "o\nthr", "ee"].map((text) => Buffer.from(text));

  const { exitCode, stdout, stderr } = await world.sluice(["invoke", "f", "--stdin-lines"], { input });

  expect([exitCode, stderr]).toEqual([exitCodes.ok, "3 submitted, 0 refused\n"]);
  const payloads = stdout
    .split("\n")
    .filter(Boolean)
    .map((taskId) => world.server.tasks.get({ function: "f", taskId }).payload);
  expect(payloads.map(String)).toEqual(["one", "two", "three"]);
});

test("--stdin-lines with a token submits nothing twice", async () => {
  await using world = await startWorld();
  const line = ["invoke", "f", "--stdin-lines", "--token", "run-7", "--json"];

  await world.sluice(line, { input: "a\nb\n" });
  const again = await world.sluice(line, { input: "a\nb\nc\n" });

  expect(jsonLines(again.stdout).map(({ repeated }) => repeated)).toEqual([true, true, false]);
  expect(world.server.tasks.stored.size).toBe(3);
});

test("--stdin-lines --json writes a line for each task, refusals too, and ends with 4", async () => {
  await using world = await startWorld();
  world.server.faults.refuse = ({ payload }) =>
    payload.toString() === "bad" ? { reason: "NO", message: "not this", field: "payload" } : undefined;

  const { exitCode, stdout, stderr } = await world.sluice(["invoke", "f", "--stdin-lines", "--json"], {
    input: "a\nbad\n",
  });

  expect([exitCode, stderr]).toEqual([exitCodes.rejected, ""]);
  expect(jsonLines(stdout)).toEqual([
    { line: 1, taskId: expect.any(String), repeated: false },
    {
      line: 2,
      taskId: expect.any(String),
      error: { code: "rejected", reason: "NO", field: "payload", message: "not this" },
    },
  ]);
});

test("--stdin-lines --wait counts how the tasks ended", async () => {
  await using world = await startWorld();
  world.server.faults.becomes = ({ payload }) => (payload.toString() === "7" ? failed : succeeded);
  const input = Array.from({ length: 200 }, (_, index) => index).join("\n");

  const { exitCode, stderr } = await world.sluice(["invoke", "f", "--stdin-lines", "--wait"], { input });

  expect(exitCode).toBe(exitCodes.taskFailed);
  expect(stderr.split("\n").at(-2)).toBe("200 submitted, 0 refused, 199 succeeded, 1 failed");
});

test("a line that is too long is refused before it fills the memory", async () => {
  await using world = await startWorld();
  const input = Array.from({ length: 5 }, () => Buffer.alloc(1_000_000, 97));

  const { exitCode, stderr } = await world.sluice(["invoke", "f", "--stdin-lines"], { input });

  expect(exitCode).toBe(exitCodes.usage);
  expect(stderr).toContain("longer than");
});
