import type { OwnedPartition } from "@sluice/core";
import { expect, test } from "vitest";
import type { NewTask } from "../index.ts";
import { aNewTask, aSettle, flow, owner, type Subject } from "./subject.ts";
import { aPark, aRunning } from "./writes.ts";

/** Of priority 2, in one page. */
export const everything = { priority: 2, after: { announcedAt: 0, seq: 0 }, limit: 100 } as const;

type SweepOptions = Parameters<Subject["store"]["lanes"]["sweep"]>[1];

export function describeRepair(subject: Subject): void {
  async function sweep(options: Partial<SweepOptions> = {}, by: OwnedPartition = owner) {
    const swept = await subject.store.lanes.sweep(by, { ...everything, announcedBefore: subject.now, ...options });
    if (swept === "stale") throw new Error("the owner owns its lanes");
    return swept;
  }
  const sweptSeqs = async (...options: Parameters<typeof sweep>) => (await sweep(...options)).seqs;

  test("the sweep finds what waits or runs and was announced before, not what is parked or final", async () => {
    const [waiting = 0, running = 0, parked = 0, final = 0] = await subject.insert(...rows(4, { priority: 1 }));
    await subject.own();
    await subject.store.lanes.write(owner, [aRunning(running), aPark(parked), aSettle(final)]);
    const announcedAt = subject.now;
    subject.passTime(10);
    await subject.insert(aNewTask({ priority: 1 }));

    expect(await sweep({ priority: 1 })).toEqual({ seqs: [waiting, running], last: { announcedAt, seq: running } });
    expect(await sweep({ priority: 2 })).toEqual({ seqs: [], last: undefined });
  });

  test("the sweep goes on behind a row, within the owner's queue and lanes", async () => {
    const mine = await subject.insert(aNewTask({ lane: 1 }), aNewTask({ lane: 2 }), aNewTask({ lane: 3 }));
    await subject.insert(aNewTask({ lane: 30 }), aNewTask({ queue: "a" }), aNewTask({ queue: "z" }));
    await subject.own();
    const part = { queue: "q", prefix: "0", epoch: owner.epoch };
    const page = { announcedBefore: subject.now + 1, limit: 2 };

    const first = await sweep(page, part);
    const rest = await sweep({ ...page, after: first.last ?? everything.after }, part);

    expect([...first.seqs, ...rest.seqs]).toEqual(mine);
    expect(await sweptSeqs({ ...page, after: rest.last ?? everything.after }, part)).toEqual([]);
  });

  test("the sweep goes by announcement, so that what was announced again comes again", async () => {
    const [first = 0, second = 0] = await subject.insert(...rows(2));
    await subject.own();
    subject.passTime(10);
    const before = (await sweep()).last ?? everything.after;
    await subject.store.lanes.touch(owner, [first]);
    subject.passTime(10);

    expect(await sweptSeqs({ after: before })).toEqual([first]);
    expect(await sweptSeqs()).toEqual([second, first]);
  });

  test("a touched row counts as announced now, keeps its stamp, and comes back with what announcing it takes", async () => {
    const enqueuedAt = subject.now;
    const [seq = 0, other = 0, parked = 0, final = 0] = await subject.insert(...rows(4));
    await subject.own();
    await subject.store.lanes.write(owner, [aPark(parked), aSettle(final)]);
    subject.passTime(10);

    const touched = await subject.store.lanes.touch(owner, [seq, seq, parked, final, 999]);

    expect(touched).toEqual([{ ...flow, seq, lane: 0, priority: 2, enqueuedAt }]);
    expect(await sweptSeqs()).toEqual([other]);
    expect((await subject.row(seq)).stamp).toBe(0);
    expect(await subject.store.lanes.touch(owner, [])).toEqual([]);
  });

  test("an unparked row counts as announced when it came out", async () => {
    const [seq = 0] = await subject.insert(aNewTask({ delayMs: 1_000 }));
    await subject.own();
    subject.passTime(1_000);
    await subject.store.lanes.unpark(owner, 1, []);

    expect(await sweptSeqs()).toEqual([]);
    expect(await sweptSeqs({ announcedBefore: Number.POSITIVE_INFINITY })).toEqual([seq]);
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
    const [first = 0, second = 0, parked = 0, final = 0, last = 0, urgent = 0] = await subject.insert(
      ...Array.from({ length: 6 }, (_, lane) => aNewTask({ lane, priority: lane === 5 ? 0 : 2 })),
    );
    await subject.insert(aNewTask({ queue: "other" }));
    await subject.own();
    await subject.store.lanes.write(owner, [aPark(parked, { lane: 2 }), aSettle(final, { lane: 3 })]);

    const page = await subject.store.lanes.waiting("q", { after: undefined, limit: 3 });
    const rest = await subject.store.lanes.waiting("q", { after: page.last, limit: 3 });
    const none = await subject.store.lanes.waiting("q", { after: rest.last, limit: 3 });

    expect(page.announcements.map(({ seq, lane }) => [seq, lane])).toEqual([
      [urgent, 5],
      [first, 0],
      [second, 1],
    ]);
    expect(rest.announcements).toEqual([{ ...flow, seq: last, lane: 4, priority: 2, enqueuedAt: subject.now }]);
    expect(none).toEqual({ announcements: [], last: undefined });
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

function rows(count: number, overrides: Partial<NewTask> = {}): NewTask[] {
  return Array.from({ length: count }, () => aNewTask(overrides));
}
