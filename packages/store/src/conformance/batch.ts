import { AccountId, FunctionName, type Seq, TaskId } from "@sluice/core";
import { describe, expect, test } from "vitest";
import { type MatchingTask, type OperationRecord, pausedUntil } from "../batch.ts";
import type { NewTask, TaskSelection } from "../index.ts";
import { describeLeftOver } from "./left-over.ts";
import { account, aNewTask, anOperation, aSettle, flow, functionName, owner, type Subject } from "./subject.ts";
import { aPark, aRunning } from "./writes.ts";

const other = AccountId("other");
const lower = { ...owner, prefix: "0" };
const upper = { ...owner, prefix: "1" };

export function describeBatch(subject: Subject): void {
  describe("pauses", () => describePauses(subject));
  describe("operations", () => describeOperations(subject));
  describe("what operations leave over", () => describeLeftOver(subject));
  describe("what operations do", () => describeWork(subject));
}

function describePauses(subject: Subject): void {
  const function_ = { kind: "function", accountId: account, functionName } as const;

  test("a target has one pause, however often it is paused, until it is resumed", async () => {
    const { control } = subject.store;
    const first = await control.pause({ pauseId: "a", target: function_, reason: "why", createdBy: account });
    subject.passTime(5);
    const again = await control.pause({ pauseId: "a", target: function_, reason: "other", createdBy: other });

    expect(again).toEqual(first);
    expect(first).toMatchObject({ pauseId: "a", target: function_, reason: "why", createdBy: account });
    expect((await control.heed()).pauses).toEqual([first]);
    expect([await control.resume("a"), await control.resume("a")]).toEqual([true, false]);
    expect((await control.heed()).pauses).toEqual([]);
    const anew = await control.pause({ pauseId: "a", target: function_, reason: "", createdBy: account });
    expect(anew?.number).toBeGreaterThan(first?.number ?? 0);
  });

  test("no more are taken than owners read; one that holds already is returned all the same", async () => {
    const { control } = subject.store;
    const pause = (pauseId: string) =>
      control.pause({ pauseId, target: function_, reason: "", createdBy: account }, { pausesMax: 2 });
    expect([await pause("a"), await pause("b")]).toMatchObject([{ pauseId: "a" }, { pauseId: "b" }]);
    expect(await pause("c")).toBeUndefined();
    expect(await pause("a")).toMatchObject({ pauseId: "a" });
    await control.resume("b");
    expect(await pause("c")).toMatchObject({ pauseId: "c" });
  });

  test("an account lists its own pauses, those of queues are nobody's, and operators list all", async () => {
    const { control } = subject.store;
    const targets = [
      function_,
      { kind: "queue", queue: "q" } as const,
      { kind: "tasks", filter: { accountId: other, status: "Enqueued", tag: "blue", enqueuedFrom: 7 } } as const,
    ];
    for (const [index, target] of targets.entries()) {
      await control.pause({ pauseId: `p${index}`, target, reason: "", createdBy: account });
    }

    const ids = async (accountId?: AccountId) => (await control.pauses(accountId)).map(({ pauseId }) => pauseId);
    expect([await ids(account), await ids(other), await ids()]).toEqual([["p0"], ["p2"], ["p0", "p1", "p2"]]);
    expect((await control.pauses(other))[0]?.target).toEqual(targets[2]);
  });

  test("rows that ended pauses have parked come out of it, in the owner's lanes, and no others", async () => {
    const seqs = await subject.insert(...[0, 0, 20, 0, 0].map((lane) => aNewTask({ lane })));
    const [first = 0, second = 0, foreign = 0, later = 0, delayed = 0] = seqs;
    await subject.own();
    const parked = (seq: Seq, number: number, lane = 0) =>
      aPark(seq, { lane, reason: "pause", dueAt: pausedUntil(number), status: "Enqueued", nextAttempt: 1, retries: 0 });
    const writes = [parked(first, 1), parked(second, 2), parked(foreign, 1, 20), parked(later, 3), aPark(delayed)];
    await subject.store.lanes.write(owner, writes);
    const resumed = async (active: number[]) => {
      const found = await subject.store.batches.resume(lower, active, 100);
      return found === "stale" ? found : found.map(({ seq }) => seq);
    };

    expect(await subject.store.lanes.dueIn(owner, 1e12)).toBeLessThan(1e10);
    expect(await resumed([1, 2, 3])).toEqual([]);
    await subject.store.lanes.raiseFloor({ ...lower, epoch: 6 });
    expect(await resumed([2])).toEqual("stale");
    const part = { ...lower, epoch: 6 };
    expect((await subject.store.batches.resume(part, [2], 100)) as unknown).toMatchObject([
      { seq: first, ...flow },
      { seq: later },
    ]);
    const [row] = (await subject.store.lanes.read(part, [first])) as { stamp: number; dueAt: undefined }[];
    expect(row).toMatchObject({ stamp: 6, dueAt: undefined });
    expect(await subject.store.batches.resume(part, [2], 100)).toEqual([]);
    expect(await subject.store.batches.resume(part, [], 100)).toMatchObject([{ seq: second }]);
  });
}

function describeOperations(subject: Subject): void {
  test("an operation is about every lane of queues in which something lies; starting it again returns it", async () => {
    await subject.own();
    await subject.insert(aNewTask());
    await subject.store.lanes.raiseFloor({ queue: "given-up", prefix: "", epoch: 3 });
    const started = await subject.store.control.start(anOperation());
    subject.passTime(5);
    const again = await subject.store.control.start(anOperation({ kind: "delete" }));

    expect(started).toMatchObject({ kind: "stop", createdAt: subject.now - 5, lanesDone: 0, lanesTotal: 32 });
    expect(again).toEqual(started);
    const { operations } = await subject.store.control.heed();
    expect(operations).toMatchObject([{ operation: { operationId: "op" }, openLanes: [{ queue: "q" }] }]);
    expect(operations[0]?.openLanes[0]?.lanes).toHaveLength(32);
  });

  test("a queue of which everything has ended is left to those that delete", async () => {
    await subject.own();
    const [seq = 0] = await subject.insert(aNewTask());
    await subject.store.lanes.write(owner, [aSettle(seq)]);
    expect(await subject.store.control.start(anOperation())).toMatchObject({ lanesTotal: 0 });
    const deleting = anOperation({ operationId: "other", kind: "delete" });
    expect(await subject.store.control.start(deleting)).toMatchObject({ lanesTotal: 32 });
  });

  test("the operations of an account that are at work are all there, by number, and nobody else's", async () => {
    const { control } = subject.store;
    for (const operationId of ["b", "a", "c"]) await control.start(anOperation({ operationId }));
    await control.start(anOperation({ operationId: "d", filter: { accountId: other } }));
    await control.cancel("a");
    const atWork = await control.atWork(account);
    expect(atWork.map(({ operationId }) => operationId)).toEqual(["b", "c"]);
    const { operations } = await control.heed();
    expect(atWork[0]).toEqual(operations[0]?.operation);
  });

  test("a cancelled or finished operation is heeded no more, and can be read for a month", async () => {
    const { control } = subject.store;
    const first = await control.start(anOperation({ operationId: "a" }));
    const second = await control.start(anOperation({ operationId: "b" }));
    await control.start(anOperation({ operationId: "c", filter: { accountId: other } }));
    subject.passTime(5);

    expect(await control.cancel("a")).toMatchObject({ cancelledAt: subject.now });
    expect(await control.finish(first)).toBe(false);
    expect(await control.finish(second)).toBe(true);
    expect(await control.cancel("b")).toMatchObject({ cancelledAt: undefined, finishedAt: subject.now });
    expect(await control.cancel("nobody")).toBeUndefined();
    expect((await control.heed()).operations.map(({ operation }) => operation.operationId)).toEqual(["c"]);
    expect(await control.atWork(account)).toEqual([]);
    const listed = async (accountId: AccountId | undefined, before = 1e9) =>
      (await control.operations(accountId, { before, limit: 2 })).map(({ operationId }) => operationId);
    expect(await listed(account)).toEqual(["b", "a"]);
    expect(await listed(account, second.number)).toEqual(["a"]);
    expect(await listed(undefined)).toEqual(["c", "b"]);
    subject.passTime(31 * 86_400_000);
    await control.start(anOperation({ operationId: "d" }));
    expect(await control.operation("a")).toBeUndefined();
    expect(await control.operation("c")).toBeDefined();
  });
}

function describeWork(subject: Subject): void {
  const walk = async (filter: Omit<TaskSelection, "accountId">, status?: TaskSelection["status"], limit = 100) => {
    const operation = await subject.store.control.start(
      anOperation({
        operationId: `op-${Math.abs(limit)}-${JSON.stringify(filter).replace(/\W/g, "_")}`,
        filter: { accountId: account, ...filter },
      }),
    );
    return await allMatching(subject, operation, status, limit);
  };

  test("the tasks that match are found page by page, oldest first, in the owner's lanes, as they were before the start", async () => {
    const tasks: NewTask[] = [
      aNewTask({ taskId: TaskId("a1"), lane: 1, tags: ["blue"] }),
      aNewTask({ taskId: TaskId("a2"), lane: 17 }),
      aNewTask({ taskId: TaskId("b1"), lane: 1, priority: 0 }),
      aNewTask({ taskId: TaskId("b2"), lane: 1, accountId: other }),
      aNewTask({ taskId: TaskId("b3"), lane: 1, functionName: FunctionName("two") }),
      aNewTask({ taskId: TaskId("b4"), lane: 1, queue: "q2" }),
    ];
    const seqs: Seq[] = [];
    for (const task of tasks) {
      seqs.push(...(await subject.insert(task)));
      subject.passTime(1);
    }
    const [a1 = 0, a2 = 0, b1 = 0, , b3 = 0] = seqs;
    const found = async (filter: Omit<TaskSelection, "accountId">, status?: TaskSelection["status"], limit?: number) =>
      (await walk(filter, status, limit)).map(({ seq }) => seq);

    expect(await found({})).toEqual([a1, a2, b1, b3]);
    expect(await found({}, "Enqueued", 1)).toEqual([a1, a2, b1, b3]);
    expect(await found({ functionName })).toEqual([a1, a2, b1]);
    expect(await found({ functionName }, "Enqueued")).toEqual([a1, a2, b1]);
    expect(await found({ taskIdPrefix: "a" }, undefined, 2)).toEqual([a1, a2]);
    expect(await found({ tag: "blue" })).toEqual([a1]);
    expect(await found({ priority: 0 })).toEqual([b1]);
    expect(await found({ enqueuedFrom: subject.now - 5, enqueuedUntil: subject.now - 3 })).toEqual([a2, b1]);
    expect(await found({}, "Running")).toEqual([]);
    const operation = await subject.store.control.start(anOperation());
    await subject.insert(aNewTask({ lane: 1 }));
    const inHalf = await subject.store.batches.matching(upper, operation, {
      status: undefined,
      after: undefined,
      limit: 9,
    });
    expect(inHalf.tasks).toEqual([
      { seq: a2, functionName, lane: 17, priority: 2, enqueuedAt: subject.now - 5, isMarked: false },
    ]);
    expect(inHalf.last).toBeUndefined();
  });

  test("rows that wait or are parked are stopped in bulk, with their step and the progress of their lanes", async () => {
    const waiting = aNewTask({ lane: 1 });
    const tasks = [waiting, aNewTask({ lane: 1, delayMs: 99 }), aNewTask({ lane: 1 }), aNewTask({ lane: 20 })];
    const [first = 0, parked = 0, final = 0, foreign = 0] = await subject.insert(...tasks);
    await subject.own();
    await subject.store.lanes.write(owner, [aSettle(final, { lane: 1 })]);
    subject.passTime(5);
    const operation = await subject.store.control.start(anOperation());
    await subject.store.lanes.raiseFloor({ ...lower, epoch: 6 });
    const part = { ...lower, epoch: 6 };

    expect(await subject.store.batches.stop(lower, operation, [first])).toBe("stale");
    const stopped = await subject.store.batches.stop(part, operation, [first, parked, final, foreign, 999, first]);

    expect(stopped).toEqual([first, parked]);
    expect(await subject.store.tasks.get(waiting)).toMatchObject({
      ...{ status: "Stopped", stopRequested: true, endedAt: subject.now, dueAt: undefined, parkReason: undefined },
      events: [{ status: "Enqueued" }, { status: "Stopped", at: subject.now, attempt: 1, detail: { operation: "op" } }],
    });
    expect(await subject.store.control.operation("op")).toMatchObject({ matched: 2, done: 2, failed: 0 });
    expect(await subject.store.batches.stop(part, operation, [first])).toEqual([]);
  });

  test("rows are deleted in bulk with their logs, whatever their status, and their ids are free", async () => {
    const task = aNewTask({ lane: 1 });
    const [first = 0, final = 0, foreign = 0] = await subject.insert(task, aNewTask(), aNewTask({ lane: 20 }));
    await subject.own();
    await subject.store.lanes.write(owner, [aSettle(final)]);
    const piece = { seq: first, attempt: 1, index: 0, stream: "stdout" as const, at: 1, data: new Uint8Array([1]) };
    await subject.store.logs.append([piece]);
    const operation = await subject.store.control.start(anOperation({ kind: "delete" }));
    await subject.store.lanes.raiseFloor({ ...lower, epoch: 6 });
    const part = { ...lower, epoch: 6 };

    expect(await subject.store.batches.delete(owner, operation, [first])).toBe("stale");
    const deleted = await subject.store.batches.delete(part, operation, [first, final, foreign, 999]);

    expect([...(deleted as Seq[])].sort((a, b) => a - b)).toEqual([first, final]);
    expect(await subject.store.tasks.get(task)).toBeUndefined();
    expect(await subject.store.logs.read({ seq: first, attempt: 1, after: -1, limit: 9 })).toEqual([]);
    expect(await subject.store.control.operation("op")).toMatchObject({ matched: 2, done: 2 });
    expect((await subject.store.tasks.insert([task]))[0]?.kind).toBe("inserted");
    expect(await subject.store.lanes.read({ ...upper, epoch: 5 }, [foreign])).toHaveLength(1);
  });

  test("a row that runs is marked, waited for, and counted by how it ended", async () => {
    const tasks = [aNewTask(), aNewTask(), aNewTask()];
    const [stopped = 0, succeeded = 0, open = 0] = await subject.insert(...tasks);
    await subject.own();
    await subject.store.lanes.write(owner, [aRunning(stopped), aRunning(succeeded), aRunning(open)]);
    const { batches, control, lanes } = subject.store;
    const operation = await control.start(anOperation());
    const second = await control.start(anOperation({ operationId: "second", kind: "delete" }));
    const numbers = [operation.number, second.number];

    expect(await batches.mark(owner, operation, [stopped, succeeded, 999], numbers)).toEqual([stopped, succeeded]);
    expect(await batches.mark(owner, operation, [stopped, open], numbers)).toEqual([open]);
    expect(await batches.mark(owner, second, [stopped, succeeded, open], numbers)).toEqual([]);

    expect(await lanes.marked(owner, 100)).toHaveLength(3);
    expect((await subject.store.tasks.get(tasks[0] ?? aNewTask()))?.events.at(-1)).toMatchObject({
      status: "Stopping",
      detail: { operation: "op" },
    });
    expect(await batches.collect(owner, operation, 100)).toEqual({ collected: [], left: 3 });
    await lanes.write(owner, [aSettle(stopped, { status: "Stopped" }), aSettle(succeeded)]);
    await batches.closeLanes(owner, operation);
    expect(await control.operation("op")).toMatchObject({ matched: 3, done: 0, failed: 0, lanesDone: 31 });
    expect(await batches.collect(owner, operation, 100)).toMatchObject({ left: 1 });
    expect(await control.operation("op")).toMatchObject({ matched: 3, done: 1, failed: 1 });
    await lanes.write(owner, [aSettle(open, { status: "Stopped" })]);
    expect(await batches.collect(owner, operation, 100)).toEqual({ collected: [open], left: 0 });
    expect(await batches.collect({ ...owner, epoch: 4 }, operation, 100)).toBe("stale");
    await batches.closeLanes(owner, operation);
    expect(await control.finish(operation)).toBe(true);
  });

  test("a marked row of a deletion is deleted when it has ended, also if its status is not the wanted one any more", async () => {
    const task = aNewTask();
    const [seq = 0] = await subject.insert(task);
    await subject.own();
    subject.passTime(1);
    const { batches, control, lanes } = subject.store;
    const operation = await control.start(
      anOperation({ kind: "delete", filter: { accountId: account, status: "Enqueued" } }),
    );
    await batches.mark(owner, operation, [seq], [operation.number]);
    expect(await allMatching(subject, operation, "Enqueued")).toEqual([]);
    await lanes.write(owner, [aSettle(seq, { status: "Stopped" })]);
    await batches.closeLanes({ ...owner }, operation);

    expect(await control.finish(operation)).toBe(false);
    expect(await batches.collect(owner, operation, 100)).toEqual({ collected: [seq], left: 0 });

    expect(await subject.store.tasks.get(task)).toBeUndefined();
    expect(await control.operation("op")).toMatchObject({ matched: 1, done: 1, failed: 0 });
  });
}

async function allMatching(
  subject: Subject,
  operation: OperationRecord,
  status: TaskSelection["status"],
  limit = 100,
): Promise<MatchingTask[]> {
  const found: MatchingTask[] = [];
  let after: { enqueuedAt: number; seq: Seq } | undefined;
  do {
    const page = await subject.store.batches.matching(owner, operation, { status, after, limit });
    found.push(...page.tasks);
    after = page.last;
  } while (after);
  return found;
}
