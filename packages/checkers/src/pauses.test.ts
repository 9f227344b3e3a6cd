import { AccountId, FunctionName } from "@sluice/core";
import type { ParkWrite, PauseTarget } from "@sluice/store";
import { expect, test } from "vitest";
import { i8 } from "./i8.ts";
import { history, inserted, park, written } from "./testing.ts";

const accountId = AccountId("main");
const functionName = FunctionName("echo");
const row = inserted({ priority: 1, tags: ["blue"], taskId: "task-1" });

function judge(target: PauseTarget, at: number, until?: number) {
  const pauses = [{ pauseId: "p", target, from: 1_000, until }];
  return i8.check(history({ store: [row], pauses, sends: [{ at, seq: 1, attempt: 1 }] })).length;
}

test("nothing that is paused is sent from the sixth second on, until it is resumed", () => {
  const target = { kind: "function", accountId, functionName } as const;
  expect([5_999, 6_000, 6_001, 60_000].map((at) => judge(target, at))).toEqual([0, 0, 1, 1]);
  expect([999, 7_999, 8_001].map((at) => judge(target, at, 8_000))).toEqual([0, 1, 0]);
});

test("a pause of something else does not count", () => {
  const of = (target: PauseTarget) => judge(target, 10_000);
  const other = FunctionName("other");
  expect(of({ kind: "account", accountId })).toBe(1);
  expect(of({ kind: "account", accountId: AccountId("another") })).toBe(0);
  expect(of({ kind: "function", accountId, functionName: other })).toBe(0);
  expect(of({ kind: "queue", queue: "q0" })).toBe(1);
  expect(of({ kind: "queue", queue: "q1" })).toBe(0);
});

test("a filter means the tasks that pass it; where that cannot be known, none", () => {
  const of = (filter: Partial<Extract<PauseTarget, { kind: "tasks" }>["filter"]>) =>
    judge({ kind: "tasks", filter: { accountId, ...filter } }, 10_000);
  const passed = [
    {},
    { functionName },
    { priority: 1 },
    { tag: "blue" },
    { taskIdPrefix: "task" },
    { enqueuedFrom: 0 },
  ] as const;
  expect(passed.map(of)).toEqual(passed.map(() => 1));
  const others = [
    { priority: 2 },
    { tag: "green" },
    { taskIdPrefix: "t-" },
    { enqueuedUntil: 0 },
    { status: "Retrying" },
  ] as const;
  expect(others.map(of)).toEqual(others.map(() => 0));
});

test("a task that was moved is not judged by the queue that it came from", () => {
  const moveTo = { queue: "q1", lane: 3 };
  const move = written({ ...(park(1) as ParkWrite), moveTo });
  const pauses = [{ pauseId: "p", target: { kind: "queue", queue: "q0" }, from: 1_000, until: undefined }] as const;
  expect(i8.check(history({ store: [row, move], pauses, sends: [{ at: 9_000, seq: 1, attempt: 1 }] }))).toEqual([]);
});
