import { expect, test } from "vitest";
import { aNewTask, aSettle, owner, type Subject } from "./subject.ts";

export function describeFloors(subject: Subject): void {
  test("a queue that nobody owned has 32 floors of 0", async () => {
    expect(await subject.store.lanes.floors("q")).toEqual(new Array(32).fill(0));
    expect(await subject.store.lanes.allFloors()).toEqual(new Map());
  });

  test("a take-over raises the lanes of its partition and no other", async () => {
    const raised = await subject.store.lanes.raiseFloor({ queue: "q", prefix: "01", epoch: 7 });

    expect(raised).toBe(true);
    const floors = await subject.store.lanes.floors("q");
    expect(floors).toEqual(Array.from({ length: 32 }, (_, lane) => (lane >= 8 && lane < 16 ? 7 : 0)));
    expect(await subject.store.lanes.allFloors()).toEqual(new Map([["q", floors]]));
  });

  test("of two take-overs with the same epoch one wins", async () => {
    const raised = await Promise.all([subject.store.lanes.raiseFloor(owner), subject.store.lanes.raiseFloor(owner)]);

    expect(raised.toSorted()).toEqual([false, true]);
  });

  test("a lower epoch raises nothing, even if only one lane is higher", async () => {
    await subject.store.lanes.raiseFloor({ queue: "q", prefix: "11111", epoch: 9 });

    expect(await subject.store.lanes.raiseFloor({ queue: "q", prefix: "", epoch: 8 })).toBe(false);
    expect((await subject.store.lanes.floors("q")).slice(0, 31)).toEqual(new Array(31).fill(0));
  });

  test("the parts of a split partition rise apart", async () => {
    await subject.store.lanes.raiseFloor({ queue: "q", prefix: "", epoch: 3 });
    await subject.store.lanes.raiseFloor({ queue: "q", prefix: "0", epoch: 4 });
    await subject.store.lanes.raiseFloor({ queue: "q", prefix: "1", epoch: 5 });

    expect(new Set(await subject.store.lanes.floors("q"))).toEqual(new Set([4, 5]));
  });

  test("epochs beyond 32 bits survive", async () => {
    const epoch = 2 ** 52 + 1;

    await subject.store.lanes.raiseFloor({ queue: "q", prefix: "00000", epoch });

    expect((await subject.store.lanes.floors("q"))[0]).toBe(epoch);
  });

  const staleOwners = [
    { title: "a lower epoch", owner: { ...owner, epoch: 4 } },
    { title: "a higher epoch that never took over", owner: { ...owner, epoch: 6 } },
    { title: "a queue that nobody owned", owner: { ...owner, queue: "other" } },
  ];
  test.each(staleOwners)("$title is stale in every call, and changes nothing", async ({ owner: stale }) => {
    const tasks = [aNewTask(), aNewTask({ delayMs: 1 })];
    const [seq = 0, parked = 0] = await subject.insert(...tasks);
    await subject.own();
    subject.passTime(10);
    const { lanes } = subject.store;
    const before = await lanes.read(owner, [seq, parked]);

    const answers = await Promise.all([
      lanes.read(stale, [seq]),
      lanes.write(stale, [aSettle(seq)]),
      lanes.write(stale, [aSettle(seq, { attempt: 2 }), aSettle(seq)]),
      lanes.unpark(stale, 10, []),
      lanes.sweep(stale, {
        ...{ priority: 2, after: { announcedAt: 0, seq: 0 } },
        ...{ announcedBefore: subject.now + 1, limit: 10 },
      }),
      lanes.touch(stale, [seq]),
      lanes.marked(stale, 10),
      lanes.purge(stale, { endedBefore: subject.now + 1, limit: 10 }),
    ]);

    expect(answers).toEqual(answers.map(() => "stale"));
    expect(await lanes.read(owner, [seq, parked])).toEqual(before);
  });

  test("one lane lost to somebody else makes the whole partition stale", async () => {
    const [seq = 0] = await subject.insert(aNewTask({ lane: 0 }));
    await subject.own();
    await subject.store.lanes.raiseFloor({ queue: "q", prefix: "11111", epoch: 6 });

    expect(await subject.store.lanes.write(owner, [aSettle(seq)])).toBe("stale");
  });

  test("an owner of the other half is not disturbed by a take-over", async () => {
    const half = { queue: "q", prefix: "0", epoch: 2 };
    const [seq = 0] = await subject.insert(aNewTask({ lane: 15 }));
    await subject.store.lanes.raiseFloor(half);
    await subject.store.lanes.raiseFloor({ queue: "q", prefix: "1", epoch: 9 });

    expect(await subject.store.lanes.write(half, [aSettle(seq, { lane: 15 })])).toEqual([true]);
  });
}
