import { expect, test } from "vitest";
import { exitCodes } from "../errors.ts";
import { jsonLines, startWorld } from "../testing.ts";

test("list shows a table for people and a line of JSON per task for programs", async () => {
  await using world = await startWorld();
  world.server.faults.becomes = () => ({ status: 5, startedAtMs: 1_000, endedAtMs: 2_500 });
  await world.sluice(["invoke", "f", "--async", "--task-id", "a", "-e", "x"]);
  await world.sluice(["invoke", "g", "--async", "--task-id", "b"]);

  const table = await world.sluice(["list"]);
  const json = await world.sluice(["list", "f", "--json", "--payload", "--status", "Succeeded", "--since", "2h"]);

  const lines = table.stdout.split("\n").map((line) => line.split(/\s{2,}/));
  expect(lines[0]).toEqual(["FUNCTION", "TASK", "STATUS", "PRIORITY", "ATTEMPT", "ENQUEUED", "RAN", "ERROR"]);
  expect(lines[1]).toEqual(["f", "a", "Succeeded", "normal", "1", "2023-11-14 22:13:20Z", "1.5 s", "-"]);
  expect(lines.length).toBe(4);
  expect(jsonLines(json.stdout)).toMatchObject([{ function: "f", taskId: "a", payload: "x" }]);
});

test("list stops at its limit and says that there is more", async () => {
  await using world = await startWorld();
  await world.sluice(["invoke", "f", "--stdin-lines"], { input: "1\n2\n3\n" });

  const cut = await world.sluice(["list", "--limit", "2"]);
  const all = await world.sluice(["list", "--limit", "3"]);
  const none = await world.sluice(["list", "other"]);

  expect(cut.stdout.trim().split("\n").length).toBe(3);
  expect(cut.stderr).toContain("--limit 20");
  expect([all.stdout.trim().split("\n").length, all.stderr]).toEqual([4, ""]);
  expect([none.stdout, none.stderr]).toEqual(["", "no tasks\n"]);
});

test("get shows the task and its steps, or the task as one document", async () => {
  await using world = await startWorld();
  const events = [{ eventId: 1, status: "Enqueued", timeMs: 1_700_000_000_000, attempt: 0, detail: "" }];
  world.server.faults.becomes = () => ({
    events,
    result: Buffer.from('{"a":1}'),
    dueAtMs: 1_700_000_000_000,
    parkReason: "delay",
  });
  await world.sluice(["invoke", "f", "--async", "--task-id", "a", "-e", "hello"]);

  const table = await world.sluice(["get", "f", "a"]);
  const json = await world.sluice(["get", "f", "a", "--json"]);

  expect(table.stdout).toMatch(/^payload +hello$/m);
  expect(table.stdout).toMatch(/^parked until +2023-11-14 22:13:20Z \(delay\)$/m);
  expect(table.stdout).toMatch(/^2023-11-14 22:13:20Z +Enqueued +-$/m);
  expect(jsonLines(json.stdout)).toMatchObject([{ taskId: "a", payload: "hello", result: '{"a":1}', events }]);
});

test("get says where steps are left out", async () => {
  await using world = await startWorld();
  const step = { status: "Dequeued", timeMs: 1_700_000_000_000, attempt: 7, detail: "" };
  const events = [1, 2, 1_236, 1_237].map((eventId) => ({ ...step, eventId }));
  world.server.faults.becomes = () => ({ events, eventsLeftOut: 1_233 });
  await world.sluice(["invoke", "f", "--async", "--task-id", "a"]);

  const table = await world.sluice(["get", "f", "a"]);
  const json = await world.sluice(["get", "f", "a", "--json"]);

  const steps = table.stdout.slice(table.stdout.indexOf("TIME")).trim().split("\n").slice(1);
  expect(steps.map((line) => line.split(/\s{2,}/)[1] ?? line)).toEqual([
    ...["Dequeued", "Dequeued", "1233 left out", "Dequeued", "Dequeued"],
  ]);
  expect(jsonLines(json.stdout)).toMatchObject([{ eventsLeftOut: 1_233 }]);
});

test("watch writes every change and ends with 0 or 1 as the task does", async () => {
  await using world = await startWorld();
  await world.sluice(["invoke", "f", "--async", "--task-id", "a"]);
  await world.sluice(["invoke", "f", "--async", "--task-id", "b"]);
  const steps = [2, 5] as const;
  world.server.faults.afterWatchState = (task) => {
    const next = task.taskId === "b" ? 8 : steps[task.status === 1 ? 0 : 1];
    if (task.status < 5) world.server.tasks.change(task.taskId, { status: next ?? 5 });
  };

  const first = await world.sluice(["watch", "f", "a", "--json"]);
  const second = await world.sluice(["watch", "f", "b"]);

  expect(jsonLines(first.stdout).map(({ status }) => status)).toEqual(["Enqueued", "Running", "Succeeded"]);
  expect(first.exitCode).toBe(exitCodes.ok);
  expect(second.stdout).toMatch(/Enqueued, attempt 1\n.*Expired, attempt 1\n$/);
  expect(second.exitCode).toBe(exitCodes.taskFailed);
});

test("stop shows the status that the task has then", async () => {
  await using world = await startWorld();
  await world.sluice(["invoke", "f", "--async", "--task-id", "a"]);

  expect((await world.sluice(["stop", "f", "a"])).stdout).toBe("a Stopped\n");
});

test("logs go to the stream that they were written to, as they are, or as lines of JSON", async () => {
  await using world = await startWorld();
  await world.sluice(["invoke", "f", "--async", "--task-id", "a"]);
  const data = Buffer.from("é\u001b[31m\n");
  const chunk = { attempt: 1, timeMs: 7 };
  world.server.logs.set("a", [
    { ...chunk, stream: 1, data: data.subarray(0, 1) },
    { ...chunk, stream: 1, data: data.subarray(1) },
    { ...chunk, stream: 2, data: Buffer.from("oops\n") },
  ]);

  const piped = await world.sluice(["logs", "f", "a"]);
  const shown = await world.sluice(["logs", "f", "a", "-f"], { isTerminal: true });
  const json = await world.sluice(["logs", "f", "a", "--attempt", "1", "--json"]);

  expect([piped.stdout, piped.stderr]).toEqual([data.toString("latin1"), "oops\n"]);
  expect(shown.stdout).toBe("é\\x1b[31m\n");
  expect(jsonLines(json.stdout)).toEqual([
    { ...chunk, stream: "stdout", dataBase64: "ww==" },
    { ...chunk, stream: "stdout", dataBase64: expect.any(String) },
    { ...chunk, stream: "stderr", data: "oops\n" },
  ]);
});

test("status tells the health, the functions and the tasks of each status", async () => {
  await using world = await startWorld();
  await world.sluice(["invoke", "f", "--stdin-lines"], { input: Array(501).fill("x").join("\n") });

  const table = await world.sluice(["status"]);
  const json = await world.sluice(["status", "--json"]);

  expect(table.exitCode).toBe(exitCodes.ok);
  expect(table.stdout).toMatch(/^health +serving$/m);
  expect(table.stdout).toMatch(/^Enqueued +500 or more$/m);
  expect(jsonLines(json.stdout)).toMatchObject([
    {
      address: world.server.address,
      health: "serving",
      functions: 0,
      tasks: { Enqueued: { count: 500, isComplete: false }, Failed: { count: 0, isComplete: true } },
    },
  ]);
});
