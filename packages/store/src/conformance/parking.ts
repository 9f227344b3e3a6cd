import { laneCount, patienceMs, priorities, urgency } from "@sluice/core";
import { expect, test } from "vitest";
import { aNewTask, aSettle, flow, owner, type Subject } from "./subject.ts";
import { aPark } from "./writes.ts";

export function describeParking(subject: Subject): void {
  test("only due rows come out, with the floor as their stamp and no longer parked", async () => {
    const [due = 0, later = 0] = await subject.insert(
      aNewTask({ delayMs: 10, lane: 7, priority: 1 }),
      aNewTask({ delayMs: 1_000 }),
    );
    await subject.own();
    const enqueuedAt = subject.now;
    subject.passTime(10);

    const announcements = await subject.store.lanes.unpark(owner, 10, []);

    expect(announcements).toEqual([{ ...flow, seq: due, lane: 7, priority: 1, enqueuedAt }]);
    expect(await subject.row(due)).toMatchObject({
      dueAt: undefined,
      stamp: owner.epoch,
      status: "Enqueued",
      attempt: 1,
    });
    expect(await subject.row(later)).toMatchObject({ dueAt: enqueuedAt + 1_000, stamp: 0 });
    expect(await subject.store.lanes.unpark(owner, 10, [])).toEqual([]);
  });

  test("a retried row keeps its status, attempt and counters when it comes out", async () => {
    const [seq = 0] = await subject.insert(aNewTask());
    await subject.own();
    await subject.store.lanes.write(owner, [aPark(seq, { dueAt: subject.now, lostAttempts: 1 })]);

    await subject.store.lanes.unpark(owner, 10, []);

    expect(await subject.row(seq)).toMatchObject({ status: "Retrying", attempt: 2, retries: 1, lostAttempts: 1 });
  });

  test("the most urgent of the due ones come first: priority counts as patience, and age overtakes it", async () => {
    const old = priorities.map((priority) => aNewTask({ priority, delayMs: 1 }));
    await subject.insert(...old);
    subject.passTime(patienceMs[2] + 1);
    const young = priorities.map((priority) => aNewTask({ priority, delayMs: 1 }));
    await subject.insert(...young);
    await subject.own();
    subject.passTime(1);

    const taken: number[] = [];
    for (let batch = 0; batch < 8; batch++) {
      const announcements = await subject.store.lanes.unpark(owner, 1, []);
      if (announcements === "stale") throw new Error("unreachable");
      taken.push(...announcements.map(urgency));
    }

    expect(taken).toHaveLength(8);
    expect(taken).toEqual([...taken].sort((a, b) => a - b));
  });

  test("a crowd of low priority does not hide an urgent row that became due after it", async () => {
    await subject.insert(...Array.from({ length: 300 }, () => aNewTask({ priority: 3, delayMs: 1 })));
    const [urgent] = await subject.insert(aNewTask({ priority: 0, delayMs: 2 }));
    await subject.own();
    subject.passTime(5);

    const announcements = await subject.store.lanes.unpark(owner, 1, []);

    expect(announcements).toMatchObject([{ seq: urgent }]);
  });

  test("one batch is given in the order of urgency", async () => {
    await subject.insert(...[3, 0, 2, 1].map((priority) => aNewTask({ priority: priority as 0, delayMs: 1 })));
    await subject.own();
    subject.passTime(5);

    const announcements = await subject.store.lanes.unpark(owner, 10, []);

    if (announcements === "stale") throw new Error("unreachable");
    expect(announcements.map((each) => each.priority)).toEqual([0, 1, 2, 3]);
  });

  test("held rows stay, and do not count against the limit", async () => {
    const [a = 0, b = 0, c = 0] = await subject.insert(...[1, 2, 3].map((delayMs) => aNewTask({ delayMs })));
    await subject.own();
    subject.passTime(5);

    const announcements = await subject.store.lanes.unpark(owner, 2, [a]);

    if (announcements === "stale") throw new Error("unreachable");
    expect(announcements.map((each) => each.seq).sort()).toEqual([b, c]);
    expect((await subject.row(a)).dueAt).toBeDefined();
  });

  test("an owner takes only rows of its lanes", async () => {
    await subject.insert(...Array.from({ length: laneCount }, (_, lane) => aNewTask({ lane, delayMs: lane + 1 })));
    await subject.store.lanes.raiseFloor({ queue: "q", prefix: "10", epoch: 3 });
    const part = { queue: "q", prefix: "10", epoch: 3 };
    subject.passTime(100);

    const announcements = await subject.store.lanes.unpark(part, 100, []);

    if (announcements === "stale") throw new Error("unreachable");
    expect(announcements.map((each) => each.lane).sort((a, b) => a - b)).toEqual([16, 17, 18, 19, 20, 21, 22, 23]);
  });

  test("the next due time is the earliest of the owner's parked rows", async () => {
    const [first = 0] = await subject.insert(
      aNewTask({ delayMs: 30, priority: 3 }),
      aNewTask({ delayMs: 20, lane: 31 }),
      aNewTask({ delayMs: 40, priority: 0 }),
    );
    await subject.own();
    const part = { queue: "q", prefix: "0", epoch: owner.epoch };

    expect(await subject.store.lanes.dueIn(owner, 20)).toBe(20);
    expect(await subject.store.lanes.dueIn(owner, 19)).toBeUndefined();
    expect(await subject.store.lanes.dueIn(part, 100)).toBe(30);
    await subject.store.lanes.write(owner, [aSettle(first)]);
    expect(await subject.store.lanes.dueIn(part, 100)).toBe(40);
    expect(await subject.store.lanes.dueIn({ ...owner, queue: "other" }, 100)).toBeUndefined();
    subject.passTime(40);
    expect(await subject.store.lanes.dueIn(part, 100)).toBe(0);
  });

  test("nothing is taken with a limit of 0", async () => {
    await subject.insert(aNewTask({ delayMs: 1 }));
    await subject.own();
    subject.passTime(5);

    expect(await subject.store.lanes.unpark(owner, 0, [])).toEqual([]);
  });
}
