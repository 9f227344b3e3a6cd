import { FunctionName, type Seq } from "@sluice/core";
import { expect, test } from "vitest";
import type { MovablePage, MovableRow, ParkWrite } from "../index.ts";
import { aNewTask, aSettle, flow, owner, type Subject } from "./subject.ts";
import { aPark, aRunning } from "./writes.ts";

const first = { enqueuedAt: 0, seq: 0 };
const park = { status: "Enqueued", nextAttempt: 1, retries: 0 } as const;

export function describeMoving(subject: Subject): void {
  const page = async (
    status: MovableRow["status"] = "Enqueued",
    { after = first, limit = 100, prefix = "" }: { after?: typeof first; limit?: number; prefix?: string } = {},
  ): Promise<MovablePage> => {
    const answer = await subject.store.lanes.movable({ ...owner, prefix }, { flow, status, after, limit });
    if (answer === "stale") throw new Error("the owner owns its lanes");
    return answer;
  };
  const seqsOf = ({ rows }: MovablePage): Seq[] => rows.map(({ seq }) => seq);
  const move = (seq: Seq, overrides: Partial<ParkWrite> = {}) =>
    aPark(seq, { ...park, reason: "overflow", dueAt: subject.now, moveTo: { queue: "r", lane: 5 }, ...overrides });

  test("what waits of a flow can be moved, with what that takes; what is parked for a reason, runs or is final can not", async () => {
    const functionName = FunctionName("other");
    const tasks = [aNewTask({ lane: 3 }), ...Array.from({ length: 5 }, () => aNewTask())];
    const [waits = 0, ...rest] = await subject.insert(...tasks, aNewTask({ functionName }), aNewTask({ queue: "r" }));
    const [overflown = 0, runs = 0, final = 0, stopped = 0, retried = 0] = rest;
    await subject.insert(aNewTask({ delayMs: 1_000 }));
    await subject.own();
    await subject.store.lanes.parkOverflow(owner, [overflown], { dueInMs: 1_000, announcedUntil: subject.now });
    const stop = tasks[4];
    if (stop !== undefined) await subject.store.tasks.requestStop(stop);
    await subject.store.lanes.write(owner, [
      aRunning(runs),
      aSettle(final),
      aPark(retried, { dueAt: subject.now, attempt: 1, nextAttempt: 2, retries: 1 }),
    ]);
    await subject.store.lanes.unpark(owner, 10, []);

    const found = await page();
    expect(seqsOf(found)).toEqual([waits, overflown]);
    expect(found.rows[0]).toEqual({
      ...flow,
      seq: waits,
      lane: 3,
      status: "Enqueued",
      priority: 2,
      attempt: 1,
      retries: 0,
      lostAttempts: 0,
      stamp: 0,
      enqueuedAt: subject.now,
      announcedAt: subject.now,
    });
    expect((await page("Retrying")).rows).toMatchObject([{ seq: retried, attempt: 2, retries: 1, stamp: owner.epoch }]);
    expect(stopped).toBeGreaterThan(0);
  });

  test("an account's rows are looked at page by page, whatever is found in them", async () => {
    const other = FunctionName("other");
    const mine = await subject.insert(...Array.from({ length: 3 }, () => aNewTask({ lane: 20 })));
    await subject.insert(...Array.from({ length: 5 }, () => aNewTask({ functionName: other })));
    const late = await subject.insert(aNewTask({ lane: 20 }), aNewTask({ lane: 1 }));
    await subject.own();
    const found: Seq[] = [];
    let pages = 0;
    for (let after: MovablePage["last"] = first; after !== undefined; pages++) {
      const next: MovablePage = await page("Enqueued", { after, limit: 4, prefix: "1" });
      found.push(...seqsOf(next));
      after = next.last;
    }
    expect(found).toEqual([...mine, late[0]]);
    expect(pages).toBe(4);
  });

  test("who does not own the lanes moves nothing", async () => {
    await subject.own();
    const stale = { ...owner, epoch: owner.epoch - 1 };
    const options = { flow, status: "Enqueued", after: first, limit: 1 } as const;
    expect(await subject.store.lanes.movable(stale, options)).toBe("stale");
  });

  test("rows that were parked because they were too many are moved in one write, those parked for another reason are not", async () => {
    const [overflown = 0, delayed = 0] = await subject.insert(aNewTask(), aNewTask({ delayMs: 1_000 }));
    await subject.own();
    await subject.store.lanes.parkOverflow(owner, [overflown], { dueInMs: 60_000, announcedUntil: subject.now });
    expect(await subject.store.lanes.write(owner, [move(overflown), move(delayed)])).toEqual([true, false]);
    const target = { queue: "r", prefix: "", epoch: 9 };
    await subject.store.lanes.raiseFloor(target);
    expect(await subject.store.lanes.unpark(target, 10, [])).toMatchObject([{ seq: overflown, lane: 5 }]);
    expect(await subject.row(delayed)).toMatchObject({ dueAt: subject.now + 1_000 });
    const stays = move(delayed, { moveTo: undefined });
    expect(await subject.store.lanes.write(owner, [stays])).toEqual([false]);
  });

  test("a queue is in use while it has rows that are not final, waiting or parked", async () => {
    const [seq = 0] = await subject.insert(aNewTask());
    await subject.insert(aNewTask({ queue: "s", delayMs: 1_000 }), aNewTask({ queue: "a" }), aNewTask({ queue: "a" }));
    await subject.own();
    await subject.store.lanes.raiseFloor({ queue: "r", prefix: "", epoch: 9 });
    expect(await subject.store.lanes.queuesInUse()).toEqual(["a", "q", "s"]);
    await subject.store.lanes.write(owner, [aSettle(seq)]);
    expect(await subject.store.lanes.queuesInUse()).toEqual(["a", "s"]);
  });

  test("a queue is in use while an operation is not done with it, also when all of its rows are final", async () => {
    const [seq = 0] = await subject.insert(aNewTask({ queue: "left" }));
    const left = { ...owner, queue: "left" };
    await subject.store.lanes.raiseFloor(left);
    const { accountId } = aNewTask();
    const operation = await subject.store.control.start({
      ...{ operationId: "op-1", kind: "delete", filter: { accountId }, createdBy: accountId },
    });
    await subject.store.lanes.write(left, [aSettle(seq)]);
    expect(await subject.store.lanes.queuesInUse()).toEqual(["left"]);
    await subject.store.batches.closeLanes(left, operation);
    expect(await subject.store.lanes.queuesInUse()).toEqual([]);
  });

  test("what has been announced again since it was read is not parked by a write that comes late and keeps its attempt", async () => {
    const [seq = 0] = await subject.insert(aNewTask());
    await subject.own();
    const { announcedAt } = await subject.row(seq);
    const park = { status: "Enqueued", reason: "pause", nextAttempt: 1, retries: 0, dueAt: subject.now } as const;
    const late = aPark(seq, { ...park, announcedAt });
    expect(await subject.store.lanes.write(owner, [late])).toEqual([true]);
    subject.passTime(1);
    expect(await subject.store.lanes.unpark(owner, 10, [])).toMatchObject([{ seq }]);

    expect(await subject.store.lanes.write(owner, [late])).toEqual([false]);
    expect(await subject.row(seq)).toMatchObject({ dueAt: undefined, announcedAt: subject.now });
    expect(await subject.store.lanes.write(owner, [{ ...late, announcedAt: subject.now }])).toEqual([true]);
  });
}
