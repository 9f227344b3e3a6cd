// The fence, on connections that truly overlap: each test holds one transaction open until another one waits for it. The
// conformance suite drives the same races at full speed and looks at their outcome.
import { assert, type OwnedPartition, type Seq } from "@sluice/core";
import { type PostgresBackend, startPostgres } from "@sluice/testbed";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { aNewTask, aSettle, seqOf } from "../conformance/subject.ts";
import type { NewTask } from "../index.ts";
import { hold, type Opened, open, untilBlocked } from "./testing.ts";

let postgres: PostgresBackend;
let opened: Opened;
beforeAll(async () => {
  postgres = await startPostgres({ fsync: false });
  opened = await open(postgres.url);
});
afterAll(async () => {
  await opened[Symbol.asyncDispose]();
  await postgres[Symbol.asyncDispose]();
});
beforeEach(() => opened.sql.exec("truncate tasks, floors restart identity"));

const before: OwnedPartition = { queue: "q", prefix: "", epoch: 5 };
const after: OwnedPartition = { queue: "q", prefix: "", epoch: 6 };

async function aTask(): Promise<{ readonly task: NewTask; readonly seq: Seq }> {
  const task = aNewTask();
  const [outcome] = await opened.store.tasks.insert([task]);
  assert(outcome !== undefined, "one task, one outcome");
  return { task, seq: seqOf(outcome) };
}

test("a write that meets a take-over waits for it, and is stale after its commit", async () => {
  await opened.store.lanes.raiseFloor(before);
  const { seq } = await aTask();
  const takeOver = await hold(opened.sql, ({ lanes }) => lanes.raiseFloor(after));

  // Its snapshot still shows the old floor, which equals its epoch.
  const writing = opened.store.lanes.write(before, [aSettle(seq)]);
  await untilBlocked(opened.sql);
  await takeOver.commit();

  expect(await writing).toBe("stale");
  expect(await opened.store.lanes.read(after, [seq])).toMatchObject([{ status: "Enqueued" }]);
});

test("a write that meets a take-over takes effect if that is rolled back", async () => {
  await opened.store.lanes.raiseFloor(before);
  const { seq } = await aTask();
  const takeOver = await hold(opened.sql, ({ lanes }) => lanes.raiseFloor(after));

  const writing = opened.store.lanes.write(before, [aSettle(seq)]);
  await untilBlocked(opened.sql);
  await takeOver.rollBack();

  expect(await writing).toEqual([true]);
});

test("a write that overtakes the take-over of its own owner is not stale", async () => {
  await opened.store.lanes.raiseFloor(before);
  const { seq } = await aTask();
  const takeOver = await hold(opened.sql, ({ lanes }) => lanes.raiseFloor(after));

  // Its snapshot shows a floor below its epoch; the lock returns the newest one.
  const writing = opened.store.lanes.write(after, [aSettle(seq)]);
  await untilBlocked(opened.sql);
  await takeOver.commit();

  expect(await writing).toEqual([true]);
});

test("a take-over waits for every write that has locked the floor, and sees what it did", async () => {
  await opened.store.lanes.raiseFloor(before);
  const seqs = [(await aTask()).seq, (await aTask()).seq];
  const writes = await Promise.all(
    seqs.map((seq) => hold(opened.sql, ({ lanes }) => lanes.write(before, [aSettle(seq)]))),
  );

  const takingOver = opened.store.lanes.raiseFloor(after);
  await untilBlocked(opened.sql);
  expect(new Set(await opened.store.lanes.floors("q"))).toEqual(new Set([before.epoch]));
  await Promise.all(writes.map((write) => write.commit()));

  expect(await takingOver).toBe(true);
  expect(await opened.store.lanes.read(after, seqs)).toMatchObject([{ status: "Succeeded" }, { status: "Succeeded" }]);
});

test("writes of several owners of a queue do not wait for each other", async () => {
  const left = { ...before, prefix: "0" };
  const right = { ...before, prefix: "1", epoch: 7 };
  await Promise.all([opened.store.lanes.raiseFloor(left), opened.store.lanes.raiseFloor(right)]);
  const { seq } = await aTask();
  const write = await hold(opened.sql, ({ lanes }) => lanes.touch(right, []));

  expect(await opened.store.lanes.write(left, [aSettle(seq)])).toEqual([true]);

  await write.commit();
});

test("a take-over is not starved: writes that come after it wait for it", async () => {
  const left = { ...before, prefix: "0" };
  const right = { ...before, prefix: "1" };
  await Promise.all([opened.store.lanes.raiseFloor(left), opened.store.lanes.raiseFloor(right)]);
  const { seq } = await aTask();
  const running = await hold(opened.sql, ({ lanes }) => lanes.touch(left, []));
  const takingOver = opened.store.lanes.raiseFloor({ ...right, epoch: 6 });
  await untilBlocked(opened.sql);

  // Of lanes that are not taken over; without the gate it would be done at once, and so would all that follow it.
  const writing = opened.store.lanes.write(left, [aSettle(seq)]);
  await untilBlocked(opened.sql, 2);
  await running.commit();

  expect(await takingOver).toBe(true);
  expect(await writing).toEqual([true]);
});

test("a write whose row is being marked waits for the mark, and keeps it", async () => {
  await opened.store.lanes.raiseFloor(before);
  const { task, seq } = await aTask();
  const mark = await hold(opened.sql, ({ tasks }) => tasks.requestStop(task));

  const events = [{ status: "Succeeded", at: 1, attempt: 1 } as const];
  const writing = opened.store.lanes.write(before, [aSettle(seq, { events })]);
  await untilBlocked(opened.sql);
  await mark.commit();

  expect(await writing).toEqual([true]);
  const found = await opened.store.tasks.get(task);
  expect(found).toMatchObject({ status: "Succeeded", stopRequested: true });
  expect(found?.events.map((event) => event.status)).toEqual(["Enqueued", "Stopping", "Succeeded"]);
});

test("of two writes to one row the second one waits, and misses", async () => {
  await opened.store.lanes.raiseFloor(before);
  const { seq } = await aTask();
  const first = await hold(opened.sql, ({ lanes }) => lanes.write(before, [aSettle(seq, { status: "Failed" })]));

  const second = opened.store.lanes.write(before, [aSettle(seq)]);
  await untilBlocked(opened.sql);
  await first.commit();

  expect(await second).toEqual([false]);
  expect(await opened.store.lanes.read(before, [seq])).toMatchObject([{ status: "Failed" }]);
});

test("an unparking whose row is settled meanwhile leaves it alone", async () => {
  await opened.store.lanes.raiseFloor(before);
  const [parked] = await opened.store.tasks.insert([aNewTask({ delayMs: 1 })]);
  assert(parked !== undefined, "one task, one outcome");
  const settle = await hold(opened.sql, ({ lanes }) => lanes.write(before, [aSettle(seqOf(parked))]));

  const unparking = opened.store.lanes.unpark(before, 10, []);
  await untilBlocked(opened.sql);
  await settle.commit();

  expect(await unparking).toEqual([]);
});
