import { expect, test } from "vitest";
import type { Announcement } from "../index.ts";
import { aNewTask, aSettle, flow, owner, type Subject } from "./subject.ts";
import { aPark, aRunning } from "./writes.ts";

const many = { after: 0, limit: 100 };

function seqs(announcements: readonly Announcement[] | "stale"): number[] {
  if (announcements === "stale") throw new Error("the owner owns its lanes");
  return announcements.map((each) => each.seq);
}

export function describeRepair(subject: Subject): void {
  test("the sweep finds what waits or runs and was announced before, not what is parked or final", async () => {
    const [waiting = 0, running = 0, parked = 0, final = 0] = await subject.insert(
      ...Array.from({ length: 4 }, () => aNewTask({ lane: 0, priority: 1 })),
    );
    await subject.own();
    await subject.store.lanes.write(owner, [aRunning(running), aPark(parked), aSettle(final)]);
    const enqueuedAt = subject.now;
    subject.passTime(10);
    await subject.insert(aNewTask());

    const found = await subject.store.lanes.sweep(owner, { announcedBefore: subject.now, ...many });

    expect(found).toEqual([waiting, running].map((seq) => ({ ...flow, seq, lane: 0, priority: 1, enqueuedAt })));
  });

  test("the sweep goes on behind a number, within the owner's queue and lanes", async () => {
    const mine = await subject.insert(aNewTask({ lane: 1 }), aNewTask({ lane: 2 }), aNewTask({ lane: 3 }));
    await subject.insert(aNewTask({ lane: 30 }), aNewTask({ queue: "a" }), aNewTask({ queue: "z" }));
    await subject.own();
    const part = { queue: "q", prefix: "0", epoch: owner.epoch };
    const announcedBefore = subject.now + 1;

    const first = seqs(await subject.store.lanes.sweep(part, { announcedBefore, after: 0, limit: 2 }));
    const rest = seqs(await subject.store.lanes.sweep(part, { announcedBefore, after: first[1] ?? 0, limit: 2 }));

    expect([...first, ...rest]).toEqual(mine);
    expect(await subject.store.lanes.sweep(part, { announcedBefore, after: mine[2] ?? 0, limit: 2 })).toEqual([]);
  });

  test("a touched row counts as announced now, and keeps its stamp", async () => {
    const [seq = 0, other = 0] = await subject.insert(aNewTask(), aNewTask());
    await subject.own();
    subject.passTime(10);

    expect(await subject.store.lanes.touch(owner, [seq, seq, 999])).toBeUndefined();

    expect(seqs(await subject.store.lanes.sweep(owner, { announcedBefore: subject.now, ...many }))).toEqual([other]);
    expect((await subject.row(seq)).stamp).toBe(0);
  });

  test("an unparked row counts as announced when it came out", async () => {
    const [seq = 0] = await subject.insert(aNewTask({ delayMs: 1_000 }));
    await subject.own();
    subject.passTime(1_000);
    await subject.store.lanes.unpark(owner, 1, []);

    expect(seqs(await subject.store.lanes.sweep(owner, { announcedBefore: subject.now, ...many }))).toEqual([]);
    expect(seqs(await subject.store.lanes.sweep(owner, { announcedBefore: subject.now + 1, ...many }))).toEqual([seq]);
  });

  test("marked are the rows to be stopped, waiting or running, and the parked ones that expired", async () => {
    const tasks = [
      aNewTask(),
      aNewTask(),
      aNewTask({ delayMs: 5, expiresAfterMs: 5 }),
      aNewTask({ delayMs: 5, expiresAfterMs: 5_000 }),
      aNewTask({ expiresAfterMs: 1 }),
      aNewTask(),
      aNewTask({ delayMs: 5, expiresAfterMs: 5 }),
    ];
    const [stopped = 0, running = 0, expired = 0, , , final = 0, both = 0] = await subject.insert(...tasks);
    await subject.own();
    await subject.store.lanes.write(owner, [aRunning(running)]);
    for (const index of [0, 1, 5, 6]) await subject.store.tasks.requestStop(tasks[index] ?? aNewTask());
    await subject.store.lanes.write(owner, [aSettle(final, { status: "Stopped" })]);
    subject.passTime(10);

    const rows = await subject.store.lanes.marked(owner, 100);

    if (rows === "stale") throw new Error("unreachable");
    expect(rows.map((row) => row.seq).sort((a, b) => a - b)).toEqual([stopped, running, expired, both]);
    expect(rows.map((row) => row.stopRequested)).toEqual([true, true, true, false]);
    expect(await subject.store.lanes.marked(owner, 2)).toHaveLength(2);
    expect(await subject.store.lanes.marked({ ...owner, prefix: "1" }, 100)).toEqual([]);
  });

  test("an embedded queue is rebuilt from what waits, page by page, of one queue", async () => {
    const [first = 0, second = 0, parked = 0, final = 0, last = 0] = await subject.insert(
      ...Array.from({ length: 5 }, (_, lane) => aNewTask({ lane })),
    );
    await subject.insert(aNewTask({ queue: "other" }));
    await subject.own();
    await subject.store.lanes.write(owner, [aPark(parked, { lane: 2 }), aSettle(final, { lane: 3 })]);

    const page = seqs(await subject.store.lanes.waiting("q", { after: 0, limit: 2 }));

    expect(page).toEqual([first, second]);
    expect(seqs(await subject.store.lanes.waiting("q", { after: second, limit: 2 }))).toEqual([last]);
  });

  test("retention deletes the oldest final rows of the owner's lanes, a batch at a time; then the id is free", async () => {
    const task = aNewTask();
    const [old = 0, older = 0, foreign = 0, open = 0, young = 0] = await subject.insert(
      task,
      aNewTask(),
      aNewTask({ lane: 31 }),
      aNewTask(),
      aNewTask(),
    );
    await subject.own();
    const part = { queue: "q", prefix: "0", epoch: owner.epoch };
    await subject.store.lanes.write(owner, [aSettle(older), aSettle(foreign, { lane: 31 })]);
    subject.passTime(10);
    await subject.store.lanes.write(owner, [aSettle(old)]);
    subject.passTime(10);
    await subject.store.lanes.write(owner, [aSettle(young)]);
    const endedBefore = subject.now;

    expect(await subject.store.lanes.purge(part, { endedBefore, limit: 1 })).toBe(1);
    expect(await subject.store.lanes.read(part, [older])).toEqual([]);
    expect(await subject.store.lanes.purge(part, { endedBefore, limit: 10 })).toBe(1);
    expect(await subject.store.lanes.purge(part, { endedBefore, limit: 10 })).toBe(0);
    const left = await subject.store.lanes.read(owner, [old, foreign, open, young]);
    if (left === "stale") throw new Error("unreachable");
    expect(left.map((row) => row.seq).sort((a, b) => a - b)).toEqual([foreign, open, young]);
    expect((await subject.store.tasks.insert([task]))[0]?.kind).toBe("inserted");
  });
}
