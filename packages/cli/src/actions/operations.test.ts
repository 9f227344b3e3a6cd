import { doneAt } from "@sluice/client/testing";
import { expect, test } from "vitest";
import { exitCodes } from "../errors.ts";
import { jsonLines, startWorld } from "../testing.ts";

test("functions, accounts, queues and filters are paused, listed and resumed", async () => {
  await using world = await startWorld();
  const paused = await world.sluice(["pause", "report", "--reason", "moving"]);
  expect(paused).toMatchObject({ exitCode: exitCodes.ok });
  expect(paused.stdout).toContain("function report");
  await world.sluice(["pause", "--account", "other"]);
  await world.sluice(["pause", "--queue", "q0"]);
  await world.sluice(["pause", "report", "--tag", "nightly", "--priority", "low", "--since", "1h"]);

  const table = await world.sluice(["pauses"]);
  const documents = jsonLines((await world.sluice(["pauses", "--json"])).stdout);
  expect(table.stdout.split("\n")[0]).toMatch(/^PAUSE +SINCE +ACCOUNT +HELD BY +PAUSED +REASON/);
  expect(table.stdout).toMatch(/account +function report +moving/);
  expect(table.stdout).toMatch(/other +operators +account/);
  expect(table.stdout).toContain("tag nightly, priority low, since 2023-11-14 21:15:00Z");
  expect(documents.map(({ target }) => target)).toMatchObject([
    { function: "report" },
    { account: true, accountId: "other" },
    { queue: "q0" },
    { tasks: { function: "report", tag: "nightly", priority: "low" } },
  ]);
  expect((await world.sluice(["resume", "report"])).exitCode).toBe(exitCodes.ok);
  expect((await world.sluice(["resume", "report"])).exitCode).toBe(exitCodes.notFound);
  expect((await world.sluice(["resume", "--queue", "q0", "--json"])).stdout).toBe('{"resumed":true}\n');
});

test("who resumes what operators hold, too, is told of it", async () => {
  await using world = await startWorld();
  await world.sluice(["pause", "--account", "other"]);
  world.server.place.stillHeld = [...world.server.place.pauses.values()][0];
  await world.sluice(["pause", "report"]);
  const resumed = await world.sluice(["resume", "report"]);
  expect(resumed.exitCode).toBe(exitCodes.ok);
  expect(resumed.stdout + resumed.stderr).toMatch(/resumed; the operators' pause \S+ holds it still/);
});

test("what is not said is a mistake of the command line, not everything", async () => {
  await using world = await startWorld();
  // Those with an empty text are what a script says whose variable is not set.
  const lines = [
    ["pause"],
    ["pause", ""],
    ["pause", "--tag", ""],
    ["pause", "f", "--queue", "q0"],
    ["tasks", "stop"],
    ["tasks", "stop", "--prefix", ""],
    ["tasks", "delete"],
    ["tasks", "delete", ""],
    ["tasks", "delete", "f", "--tag", ""],
  ];
  for (const line of lines) {
    expect((await world.sluice(line)).exitCode, line.join(" ")).toBe(exitCodes.usage);
  }
  expect(world.server.place.operations.size + world.server.place.pauses.size).toBe(0);
});

test("tasks are deleted by filter, and the command ends with the operation", async () => {
  await using world = await startWorld();
  world.server.place.progress = [
    { matched: 10, done: 4 },
    { matched: 10, done: 10, ...doneAt(1_700_000_002_000) },
  ];

  const people = await world.sluice(["tasks", "delete", "report", "--status", "Failed", "--operation-id", "once"]);
  const programs = await world.sluice(["tasks", "stop", "--all", "--async", "--json"]);

  expect(people).toMatchObject({ exitCode: exitCodes.ok, stdout: "once done: 10 of 10 deleted\n" });
  expect(jsonLines(programs.stdout)).toMatchObject([{ kind: "stop", state: "running", filter: {} }]);
  const listed = await world.sluice(["operations"]);
  expect(listed.stdout).toMatch(
    /once +delete +done +\S+ \S+ +2\.0 s +10 +10 +0 +tasks: function report, status Failed/,
  );
});

test("operations are shown, watched and cancelled", async () => {
  await using world = await startWorld();
  world.server.place.progress = [{ matched: 7, done: 3, failed: 1, lanesDone: 8 }];
  await world.sluice(["tasks", "stop", "f", "--async", "--operation-id", "mine"]);

  expect((await world.sluice(["operations", "get", "mine"])).stdout).toBe(
    "mine running: 3 of 7 stopped, 1 ended by themselves, 8 of 32 lanes done\n",
  );
  const cancelled = await world.sluice(["operations", "cancel", "mine"]);
  expect(cancelled).toMatchObject({ exitCode: exitCodes.taskFailed });
  expect(cancelled.stdout).toContain("mine cancelled");
  expect((await world.sluice(["operations", "get", "nobody"])).exitCode).toBe(exitCodes.notFound);
});
