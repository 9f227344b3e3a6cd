import { AccountId, FunctionName, TaskId } from "@sluice/core";
import { eventually, FakeClock } from "@sluice/core/testing";
import type { InsertOutcome, NewTask, Store } from "@sluice/store";
import { Registry } from "prom-client";
import { expect, test } from "vitest";
import { apiServerMetrics } from "../metrics.ts";
import type { Draft } from "./parse-submission.ts";
import { createRecorder, type Recorded } from "./recorder.ts";

test("one submission on an idle server is inserted at once and alone", async () => {
  const { recorder, inserts } = aRecorder();
  const recording = recorder.record(drafts(1, "a"));
  await eventually(() => inserts.length === 1);
  inserts[0]?.commit();
  expect((await recording).map(({ outcome }) => outcome.kind)).toEqual(["inserted"]);
  expect(inserts[0]?.tasks).toHaveLength(1);
});

test("submissions that come while inserts are in flight share the next one", async () => {
  const { recorder, inserts } = aRecorder();
  const first = [recorder.record(drafts(1, "a"))];
  await eventually(() => inserts.length === 1);
  first.push(recorder.record(drafts(1, "b")));
  await eventually(() => inserts.length === 2);
  const rest = Array.from({ length: 50 }, (_, index) => recorder.record(drafts(1, `c${index}`)));
  inserts[0]?.commit();
  await eventually(() => inserts.length === 3);
  expect(inserts[2]?.tasks).toHaveLength(50);
  inserts[1]?.commit();
  inserts[2]?.commit();
  await Promise.all([...first, ...rest]);
  await recorder.idle();
});

test("a single submission does not wait for a whole batch of 10,000", async () => {
  const { recorder, inserts } = aRecorder();
  const batch = recorder.record(drafts(10_000, "big"));
  const single = recorder.record(drafts(1, "single"));
  await eventually(() => inserts.length === 2);
  expect(inserts[0]?.tasks.map((task) => task.taskId)).toContain("single_0");
  expect(inserts.map(({ tasks }) => tasks.length)).toEqual([1000, 1000]);
  inserts[0]?.commit();
  expect(await single).toHaveLength(1);
  for (let index = 1; index < 11; index++) {
    await eventually(() => inserts.length > index);
    inserts[index]?.commit();
  }
  expect((await batch).map(({ task }) => task.taskId)).toEqual(drafts(10_000, "big").map((draft) => draft.taskId));
});

test("groups are bounded in bytes and take the lanes in turn", async () => {
  const { recorder, inserts } = aRecorder({ groupBytesMax: 1000, firstLane: 31 });
  const recording = recorder.record(drafts(20, "a", 300));
  for (let index = 0; index < 5; index++) {
    await eventually(() => inserts.length > index);
    inserts[index]?.commit();
  }
  await recording;
  expect(inserts.map(({ tasks }) => tasks.length)).toEqual([4, 4, 4, 4, 4]);
  expect(inserts.map(({ tasks }) => tasks[0]?.lane)).toEqual([31, 0, 1, 2, 3]);
});

test("a failed insert fails the requests in it and no other, and the rest of them is not tried", async () => {
  const { recorder, inserts, recorded } = aRecorder({ groupTasksMax: 10, groupsInFlightMax: 1 });
  const failing = recorder.record(drafts(25, "a"));
  const outcome = failing.catch((error: unknown) => error);
  await eventually(() => inserts.length === 1);
  const other = recorder.record(drafts(3, "b"));
  const cause = new Error("the database is gone");
  inserts[0]?.fail(cause);
  expect(await outcome).toBe(cause);
  await eventually(() => inserts.length === 2);
  inserts[1]?.commit();
  expect(await other).toHaveLength(3);
  expect(inserts[1]?.tasks.map((task) => task.taskId)).toEqual(["b_0", "b_1", "b_2"]);
  expect(recorded).toHaveLength(1);
  await recorder.idle();
});

interface Insert {
  readonly tasks: readonly NewTask[];
  commit(): void;
  fail(cause: Error): void;
}

function aRecorder(overrides: Partial<Parameters<typeof createRecorder>[0]> = {}) {
  const inserts: Insert[] = [];
  const recorded: (readonly Recorded[])[] = [];
  let seq = 0;
  const insert = (tasks: readonly NewTask[]) =>
    new Promise<InsertOutcome[]>((resolve, reject) => {
      const commit = () => resolve(tasks.map(() => ({ kind: "inserted", seq: ++seq, enqueuedAt: 0 })));
      inserts.push({ tasks, commit, fail: reject });
    });
  const recorder = createRecorder({
    store: { tasks: { insert } } as unknown as Store,
    clock: new FakeClock(),
    metrics: apiServerMetrics(new Registry()),
    groupTasksMax: 1000,
    groupBytesMax: 2 ** 20,
    groupsInFlightMax: 2,
    firstLane: 0,
    onRecorded: (group) => recorded.push(group),
    ...overrides,
  });
  return { recorder, inserts, recorded };
}

function drafts(count: number, name: string, payloadBytes = 0): Draft[] {
  return Array.from({ length: count }, (_, index) => ({
    accountId: AccountId("main"),
    functionName: FunctionName("echo"),
    taskId: TaskId(`${name}_${index}`),
    queue: "q0",
    lane: undefined,
    priority: 2,
    payload: new Uint8Array(payloadBytes),
    delayMs: 0,
    expiresAfterMs: 0,
    submissionToken: "",
    tags: [],
  }));
}
