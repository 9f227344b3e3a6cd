import { AccountId, FunctionName, TaskId } from "@sluice/core";
import { aTask } from "@sluice/core/testing";
import { expect, test } from "vitest";
import type { Execution, LimitSet } from "./history.ts";
import { i10 } from "./i10.ts";
import { history, inserted, run } from "./testing.ts";

const limit = (changes: Partial<LimitSet> = {}): LimitSet => ({
  at: 0,
  account: "main",
  function: "echo",
  concurrencyMax: 1,
  rateMax: 0,
  rateBurst: 0,
  ...changes,
});
const rows = (count: number, name = "echo") =>
  Array.from({ length: count }, (_, index) => inserted({ seq: index + 1, taskId: `t${index}`, function: name }));
const from = (seq: number, startedAt: number, endedAt: number | undefined): Execution =>
  run({ seq, startedAt, endedAt });
const judge = (limits: readonly LimitSet[], executions: readonly Execution[], store = rows(9)) =>
  i10.check(history({ limits, executions, store })).map(({ seq }) => seq);

test("one after the other is fine, also at the same moment; two at a time are not", () => {
  expect(judge([limit()], [from(1, 0, 10), from(2, 10, 20)])).toEqual([]);
  expect(judge([limit()], [from(1, 0, 11), from(2, 10, 20)])).toEqual([2]);
  expect(judge([limit()], [from(1, 0, undefined), from(2, 10, 20)])).toEqual([2]);
  expect(judge([limit({ concurrencyMax: 2 })], [from(1, 0, 90), from(2, 10, 20), from(3, 25, 30)])).toEqual([]);
});

test("whose a task is, its row says as well", () => {
  const row = (seq: number, name: string) =>
    aTask({ seq, accountId: AccountId("main"), functionName: FunctionName(name), taskId: TaskId(`t${seq}`) });
  const executions = [from(1, 0, 11), from(2, 5, 20), from(3, 10, 20)];
  const seen = history({ limits: [limit()], executions, rows: [row(1, "echo"), row(2, "other"), row(3, "echo")] });
  expect(i10.check({ ...seen, store: undefined }).map(({ seq }) => seq)).toEqual([3]);
});

test("other functions do not count against a function, and count against the account", () => {
  const store = [...rows(1), inserted({ seq: 2, function: "other" }), inserted({ seq: 3, account: "another" })];
  const all = [from(1, 0, 50), from(2, 10, 50), from(3, 20, 50)];
  expect(judge([limit()], all, store)).toEqual([]);
  expect(judge([limit({ function: undefined })], all, store)).toEqual([2]);
});

test("a limit that is set, or lowered, counts after its grace; what ran before counts, and is no violation itself", () => {
  const set = [limit({ at: 50_000 })];
  expect(judge(set, [from(1, 0, 80_000), from(2, 60_000, 70_000)])).toEqual([]);
  expect(judge(set, [from(1, 0, 80_000), from(2, 1_000, 90_000)])).toEqual([]);
  expect(judge(set, [from(1, 0, 80_000), from(2, 71_000, 72_000)])).toEqual([2]);
  const lowered = [limit({ concurrencyMax: 3 }), limit({ at: 50_000 })];
  expect(judge(lowered, [from(1, 0, 99_000), from(2, 60_000, 99_000), from(3, 71_000, 72_000)])).toEqual([3]);
  const raised = [limit(), limit({ at: 50_000, concurrencyMax: 2 })];
  expect(judge(raised, [from(1, 0, 99_000), from(2, 50_001, 51_000)])).toEqual([]);
  expect(judge(raised, [from(1, 0, 99_000), from(2, 49_999, 51_000)])).toEqual([2]);
});

test("in no window more is sent than burst and rate give", () => {
  const rate = [limit({ concurrencyMax: 0, rateMax: 10, rateBurst: 3 })];
  const sent = (...times: number[]) =>
    i10
      .check(
        history({
          limits: rate,
          store: rows(9),
          sends: times.map((at, index) => ({ at, seq: index + 1, attempt: 1 })),
        }),
      )
      .map(({ seq }) => seq);
  expect(sent(0, 0, 0, 200, 300)).toEqual([]);
  expect(sent(0, 0, 0, 0, 0)).toEqual([5]);
  expect(sent(0, 0, 0, 100, 110, 120)).toEqual([6]);
  expect(sent(9_000, 10_000, 10_000, 10_000, 10_010)).toEqual([]);
});

test("what other functions have reserved is left to them; what they use of it is not left twice", () => {
  const account = limit({ function: undefined, concurrencyMax: 3 });
  const reserved = limit({ function: "kept", concurrencyMax: 0, concurrencyReserved: 1 });
  const kept = inserted({ seq: 9, taskId: "k", function: "kept" });
  const store = [...rows(8), kept];
  const three = [from(1, 0, 90), from(2, 1, 90), from(3, 10, 90)];
  expect(judge([account], three, store)).toEqual([]);
  expect(judge([account, reserved], three, store)).toEqual([3]);
  expect(judge([account, reserved], [from(9, 5, 90), ...three], store)).toEqual([3]);
  expect(judge([account, reserved], [from(9, 5, 90), ...three.slice(1)], store)).toEqual([]);
  expect(judge([account, reserved], [...three.slice(1), from(9, 20, 90)], store)).toEqual([]);
  // Its own limit bounds what it has reserved; without a limit of the account there is nothing to reserve from.
  const two = limit({ function: "kept", concurrencyMax: 1, concurrencyReserved: 3 });
  expect(judge([account, two], three, store)).toEqual([3]);
  expect(judge([reserved], three, store)).toEqual([]);
});

test("what is reserved counts after its grace, and not where more is reserved than the account may run", () => {
  const account = limit({ function: undefined, concurrencyMax: 1 });
  const reserve = (at: number, concurrencyReserved: number) =>
    limit({ at, function: "kept", concurrencyMax: 0, concurrencyReserved });
  const late = [from(1, 15_000, 15_001), from(2, 71_000, 71_001)];
  expect(judge([account, reserve(0, 0), reserve(50_000, 1)], late)).toEqual([2]);
  expect(judge([account, reserve(0, 0), reserve(60_000, 1)], late)).toEqual([]);
  expect(judge([account, reserve(0, 1), reserve(60_000, 0)], late)).toEqual([1]);
  expect(judge([account, reserve(0, 2)], late)).toEqual([]);
});
