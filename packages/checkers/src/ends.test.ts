import { aTask, fixtureStart } from "@sluice/core/testing";
import { describe, expect, test } from "vitest";
import { i2 } from "./i2.ts";
import { history, run } from "./testing.ts";

const ended = { endedAt: fixtureStart + 1_000 };
const stop = { at: 500, account: "main" };
const wallStart = fixtureStart;
const failure = { type: "UnhandledInvocationError", message: "", body: "" };
const lost = { ...failure, type: "AgentLost" };

describe("a task that was stopped", () => {
  const rows = [aTask({ status: "Stopped", tags: ["blue"], ...ended })];
  test("was to be stopped, by name or by a filter", () => {
    for (const asked of [{ function: "echo", taskId: "task-1" }, {}, { tag: "blue" }, { taskIdPrefix: "task" }])
      expect(i2.check(history({ wallStart, rows, stops: [{ ...stop, ...asked }] }))).toEqual([]);
  });
  test("was to be stopped itself, and before it was", () => {
    for (const asked of [
      { account: "other" },
      { taskId: "task-2" },
      { tag: "red" },
      { taskIdPrefix: "x" },
      { at: 2_000 },
    ])
      expect(i2.check(history({ wallStart, rows, stops: [{ ...stop, ...asked }] }))).toHaveLength(1);
  });
  test("is not judged by a tool that does not know who asked", () => {
    expect(i2.check({ ...history({ rows }), stops: undefined })).toEqual([]);
  });
});

test("a task that has expired had an expiry, which had passed", () => {
  const expired = (expiresAt: number | undefined) =>
    i2.check(history({ rows: [aTask({ status: "Expired", expiresAt, ...ended })] }));
  expect(expired(ended.endedAt)).toEqual([]);
  // By the clock of its owner.
  expect(expired(ended.endedAt + 500)).toEqual([]);
  expect(expired(ended.endedAt + 2_000)).toHaveLength(1);
  expect(expired(undefined)).toHaveLength(1);
});

describe("a task that failed", () => {
  test("has an error, and its handler did not end well", () => {
    const row = aTask({ status: "Failed", error: failure, ...ended });
    expect(i2.check(history({ rows: [row], executions: [run({ how: "failed" })] }))).toEqual([]);
    expect(i2.check(history({ rows: [row], executions: [run()] }))).toHaveLength(1);
    expect(i2.check(history({ rows: [{ ...row, error: undefined }] }))).toHaveLength(1);
  });
  test("was lost only with an agent that is gone, however its handler ended", () => {
    const rows = [aTask({ status: "Failed", error: lost, ...ended })];
    const life = (downAt: number | undefined, agentId = "a1") => [{ agentId, incarnation: () => 1, upAt: 0, downAt }];
    expect(i2.check(history({ rows, executions: [run()], lives: life(30) }))).toEqual([]);
    expect(i2.check(history({ rows, executions: [run()], lives: life(undefined) }))).toHaveLength(1);
    expect(i2.check(history({ rows, executions: [run()], lives: life(30, "a2") }))).toHaveLength(1);
  });
});

test("a task is not invalid when its function is there", () => {
  const error = { type: "FunctionNotFound", message: "", body: "" };
  const rows = [aTask({ status: "Invalid", error, ...ended })];
  const functions = [{ account: "main", function: "echo", maxAsyncRetryAttempts: 1 }];
  expect(i2.check(history({ rows, functions }))).toHaveLength(1);
  expect(i2.check(history({ rows }))).toEqual([]);
});
