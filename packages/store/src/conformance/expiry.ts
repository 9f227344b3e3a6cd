import { TaskId } from "@sluice/core";
import { expect, test } from "vitest";
import { type Announced, expiredError } from "../index.ts";
import { owned } from "./overflow.ts";
import { aNewTask, aSettle, flow, owner, type Subject } from "./subject.ts";
import { aPark, aRunning } from "./writes.ts";

const beginning: Announced = { announcedAt: 0, seq: 0 };
const page = { priority: 2, after: beginning, limit: 100 } as const;
const anyStamp = { stampMin: 0 };

export function describeExpiry(subject: Subject): void {
  const lanes = () => subject.store.lanes;
  const found = async (options: Partial<Parameters<Subject["store"]["lanes"]["expired"]>[1]> = {}) =>
    owned(await lanes().expired(owner, { ...page, ...options }));

  test("a look finds what waits past its expiry in its page, and what is parked past it, of any priority", async () => {
    const short = { expiresAfterMs: 10 };
    const [waiting = 0, later, parked = 0, never, urgent, final = 0] = await subject.insert(
      ...[aNewTask(short), aNewTask(), aNewTask(short), aNewTask({ expiresAfterMs: 0 })],
      ...[aNewTask({ ...short, priority: 0 }), aNewTask(short)],
    );
    await subject.own();
    await lanes().write(owner, [aPark(parked, { dueAt: subject.now + 9_999 }), aSettle(final)]);
    expect((await found()).seqs).toEqual([]);
    subject.passTime(10);

    expect((await found()).seqs).toEqual([waiting, parked]);
    expect((await found({ priority: 0 })).seqs).toEqual([urgent, parked]);
    expect([later, never].every((seq) => seq !== undefined)).toBe(true);
  });

  test("a look goes on behind the last one, and says when it has seen all", async () => {
    const seqs = await subject.insert(...Array.from({ length: 5 }, () => aNewTask({ expiresAfterMs: 1 })));
    await subject.own();
    subject.passTime(1);

    const first = await found({ limit: 3 });
    const second = await found({ limit: 3, after: first.last ?? beginning });

    expect(first).toEqual({ seqs: seqs.slice(0, 3), last: { announcedAt: subject.now - 1, seq: seqs[2] } });
    expect(second).toEqual({ seqs: seqs.slice(3), last: undefined });
  });

  test("rows past their expiry end in bulk, waiting or parked, with error and event as if one by one", async () => {
    const taskId = TaskId("late");
    const [waiting = 0, retried = 0, fresh = 0, running = 0, final = 0] = await subject.insert(
      ...[aNewTask({ taskId, expiresAfterMs: 10, lane: 3 }), aNewTask({ expiresAfterMs: 10 }), aNewTask()],
      ...[aNewTask({ expiresAfterMs: 10 }), aNewTask({ expiresAfterMs: 10 })],
    );
    await subject.own();
    await lanes().write(owner, [aPark(retried, { dueAt: subject.now + 500 }), aRunning(running), aSettle(final)]);
    const all = [final, running, fresh, retried, waiting, waiting, 999];
    expect(await lanes().expire(owner, all, anyStamp)).toEqual([]);
    subject.passTime(10);

    const ended = owned(await lanes().expire(owner, all, anyStamp));

    expect(ended.toSorted((a, b) => a.seq - b.seq)).toEqual([
      { seq: waiting, lane: 3, attempt: 1 },
      { seq: retried, lane: 0, attempt: 2 },
    ]);
    const at = subject.now;
    const { type, message } = expiredError;
    expect(await subject.store.tasks.get({ ...flow, taskId })).toMatchObject({
      ...{
        status: "Expired",
        endedAt: at,
        error: expiredError,
        dueAt: undefined,
        parkReason: undefined,
        startedAt: undefined,
      },
      events: [
        { status: "Enqueued", at: at - 10, attempt: 0 },
        { status: "Expired", at, attempt: 1, detail: { type, message } },
      ],
    });
    expect(await subject.row(retried)).toMatchObject({ status: "Expired", dueAt: undefined, retries: 1 });
    expect(await lanes().expire(owner, all, anyStamp)).toEqual([]);
  });

  test("what is to be stopped is stopped, not expired", async () => {
    const taskId = TaskId("stopped");
    const [seq = 0] = await subject.insert(aNewTask({ taskId, expiresAfterMs: 1 }));
    await subject.own();
    await subject.store.tasks.requestStop({ ...flow, taskId });
    subject.passTime(1);

    expect(await lanes().expire(owner, [seq], anyStamp)).toEqual([]);
  });

  test("what an earlier owner may have dispatched is left alone, but not if it is parked", async () => {
    const [old = 0, parked = 0] = await subject.insert(
      aNewTask({ expiresAfterMs: 1 }),
      aNewTask({ expiresAfterMs: 1 }),
    );
    await subject.own();
    await lanes().write(owner, [aPark(parked, { dueAt: subject.now + 500 })]);
    const [fresh = 0] = await subject.insert(aNewTask({ expiresAfterMs: 1 }));
    subject.passTime(1);

    const ended = owned(await lanes().expire(owner, [old, parked, fresh], { stampMin: owner.epoch }));

    expect(ended.map(({ seq }) => seq).sort()).toEqual([parked, fresh].sort());
    expect(await lanes().expire(owner, [old], { stampMin: owner.epoch })).toEqual([]);
    expect(await lanes().expire(owner, [old], anyStamp)).toMatchObject([{ seq: old }]);
  });

  test("only rows of the owner's lanes are found and ended", async () => {
    const [low = 0, high = 0] = await subject.insert(
      aNewTask({ expiresAfterMs: 1 }),
      aNewTask({ expiresAfterMs: 1, lane: 31 }),
    );
    await subject.own();
    await lanes().raiseFloor({ queue: "q", prefix: "1", epoch: 9 });
    const half = { queue: "q", prefix: "0", epoch: owner.epoch };
    subject.passTime(1);

    expect(await lanes().expired(owner, page)).toBe("stale");
    expect(await lanes().expire(owner, [low], anyStamp)).toBe("stale");
    expect(await lanes().expired(half, page)).toMatchObject({ seqs: [low] });
    expect(await lanes().expire(half, [low, high], anyStamp)).toMatchObject([{ seq: low }]);
  });
}
