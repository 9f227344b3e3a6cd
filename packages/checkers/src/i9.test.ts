import { aTask } from "@sluice/core/testing";
import type { TaskWrite } from "@sluice/store";
import { describe, expect, test } from "vitest";
import { i9 } from "./i9.ts";
import { history, inserted, park, run, written } from "./testing.ts";

const functions = [{ account: "main", function: "echo", maxAsyncRetryAttempts: 1 }];
const failure = { type: "UnhandledInvocationError", message: "", body: "" };
const lost = { type: "AgentLost", message: "", body: "" };

/** One failed attempt after the other. */
function attempts(count: number) {
  return Array.from({ length: count }, (_, index) => run({ attempt: index + 1, how: "failed" }));
}

function parked(overrides: object): TaskWrite {
  return { ...park(2), ...overrides } as TaskWrite;
}

describe("a task", () => {
  test("is retried as often as its function allows", () => {
    const row = { status: "Failed", error: failure, attempt: 2, retries: 1 } as const;
    expect(i9.check(history({ functions, rows: [aTask(row)], executions: attempts(2) }))).toEqual([]);
    const more = { ...row, attempt: 3, retries: 2 };
    expect(i9.check(history({ functions, rows: [aTask(more)], executions: attempts(3) }))).toHaveLength(1);
  });
  test("does not fail by what may be retried while it has retries left", () => {
    const row = aTask({ status: "Failed", error: failure });
    expect(i9.check(history({ functions, rows: [row], executions: attempts(1) }))).toHaveLength(1);
    const fatal = { ...row, error: { ...failure, type: "HandledInvocationError" } };
    expect(i9.check(history({ functions, rows: [fatal], executions: attempts(1) }))).toEqual([]);
  });
  test("may lose three attempts, and is given up with the fourth", () => {
    const row = { status: "Failed", error: lost, attempt: 4, lostAttempts: 3 } as const;
    expect(i9.check(history({ functions, rows: [aTask(row)] }))).toEqual([]);
    expect(i9.check(history({ functions, rows: [aTask({ ...row, lostAttempts: 2 })] }))).toHaveLength(1);
    expect(i9.check(history({ functions, rows: [aTask({ ...row, attempt: 5, lostAttempts: 4 })] }))).toHaveLength(1);
  });
  test("does not run more often than all that together, whatever its row says", () => {
    const rows = [aTask({ status: "Succeeded", attempt: 2, retries: 1 })];
    expect(i9.check(history({ functions, rows, executions: attempts(5) }))).toEqual([]);
    expect(i9.check(history({ functions, rows, executions: attempts(6) }))).toHaveLength(1);
  });
  test("may meet flow control any number of times", () => {
    const executions = attempts(9).map((execution) => ({ ...execution, how: "throttled" as const }));
    expect(i9.check(history({ functions, rows: [aTask({ attempt: 10 })], executions }))).toEqual([]);
  });
  test("of a function that nobody knows is not judged", () => {
    expect(i9.check(history({ rows: [aTask({ retries: 9, attempt: 10 })] }))).toEqual([]);
  });
});

describe("a further attempt", () => {
  test("counts as one retry, one lost attempt, or flow control", () => {
    const right = [
      parked({ reason: "backoff", retries: 1 }),
      parked({ attempt: 2, nextAttempt: 3, reason: "throttle", retries: 1 }),
      parked({ attempt: 3, nextAttempt: 4, reason: "backoff", retries: 1, lostAttempts: 1 }),
      parked({ attempt: 4, nextAttempt: 4, reason: "overflow", retries: 1, lostAttempts: 1 }),
    ];
    const executions = [run({ attempt: 2, how: "throttled" })];
    const store = [inserted(), ...right.map((write) => written(write))];
    expect(i9.check(history({ store, executions }))).toEqual([]);
  });
  test("that nobody counts is seen", () => {
    const write = parked({ reason: "backoff", retries: 0 });
    expect(i9.check(history({ store: [inserted(), written(write)] }))).toHaveLength(1);
    expect(i9.check(history({ store: [inserted(), written(write, { applied: false })] }))).toEqual([]);
  });
});
