import { FunctionName, patienceMs, type Seq, urgency } from "@sluice/core";
import { expect, test } from "vitest";
import type { Stale } from "../index.ts";
import { aNewTask, aSettle, flow, owner, type Subject } from "./subject.ts";
import { aRunning } from "./writes.ts";

const all = { limit: 10, countMax: 10 };
const soon = { dueInMs: 1_000, announcedUntil: Number.MAX_SAFE_INTEGER };

export function describeOverflow(subject: Subject): void {
  const lanes = () => subject.store.lanes;
  async function parked(seqs: readonly Seq[], options = soon): Promise<readonly Seq[]> {
    return sorted(owned(await lanes().parkOverflow(owner, seqs, options)));
  }

  test("what waits is parked in bulk and keeps its status; what is final, parked, running or elsewhere is not", async () => {
    const [waiting = 0, running = 0, final = 0, delayed = 0, elsewhere = 0] = await subject.insert(
      ...[aNewTask(), aNewTask(), aNewTask(), aNewTask({ delayMs: 5 }), aNewTask({ queue: "r" })],
    );
    await subject.own();
    await lanes().write(owner, [aRunning(running), aSettle(final)]);
    const all = [waiting, running, final, delayed, elsewhere, 999];

    expect(await parked(all)).toEqual([waiting]);
    expect(await parked(all)).toEqual([]);
    expect(await subject.row(waiting)).toMatchObject({
      ...{ status: "Enqueued", attempt: 1, retries: 0, stamp: 0 },
      dueAt: subject.now + soon.dueInMs,
    });
    expect((await subject.row(delayed)).dueAt).toBe(subject.now + 5);
  });

  test("nothing is done in lanes that others own", async () => {
    const [low = 0, high = 0] = await subject.insert(aNewTask({ lane: 0 }), aNewTask({ lane: 31 }));
    await subject.own();
    await lanes().raiseFloor({ queue: "q", prefix: "1", epoch: 9 });
    const half = { queue: "q", prefix: "0", epoch: owner.epoch };

    expect(await lanes().parkOverflow(half, [low, high], soon)).toEqual([low]);
    for (const call of [
      () => lanes().parkOverflow(owner, [low], soon),
      () => lanes().unparkOverflow(owner, flow, 9),
      () => lanes().overflowFlows(owner, all),
    ]) {
      expect(await call()).toBe("stale");
    }
    expect(await lanes().overflowFlows({ queue: "q", prefix: "1", epoch: 9 }, all)).toEqual([]);
    expect(await lanes().overflowFlows(half, all)).toEqual([{ ...flow, parked: 1 }]);
  });

  test("a row that is parked again stays twice as long, so that few are parked often", async () => {
    const [seq = 0] = await subject.insert(aNewTask());
    await subject.own();
    subject.passTime(10_000);

    await parked([seq]);

    expect((await subject.row(seq)).dueAt).toBe(subject.now + 10_000);
  });

  test("the rows of a flow come out by urgency, due or not, with the floor as their stamp", async () => {
    const low = await subject.insert(...Array.from({ length: 3 }, () => aNewTask({ priority: 3 })));
    subject.passTime(patienceMs[3] + 1);
    const urgent = await subject.insert(aNewTask({ priority: 0 }), aNewTask({ priority: 0, lane: 31 }));
    const [delayed = 0] = await subject.insert(aNewTask({ priority: 0, delayMs: 1 }));
    const others = await subject.insert(aNewTask({ functionName: FunctionName("other") }));
    await subject.own();
    await parked([...low, ...urgent, ...others]);

    const first = owned(await lanes().unparkOverflow(owner, flow, 2));
    const rest = owned(await lanes().unparkOverflow(owner, flow, 10));

    const taken = [...first, ...rest];
    expect(taken.map(({ seq }) => seq)).toEqual([...low, ...urgent]);
    expect(taken.map(urgency)).toEqual(taken.map(urgency).sort((a, b) => a - b));
    expect(await subject.row(urgent[1] ?? 0)).toMatchObject({
      dueAt: undefined,
      stamp: owner.epoch,
      status: "Enqueued",
    });
    expect((await subject.row(delayed)).dueAt).toBeDefined();
    expect(await lanes().unparkOverflow(owner, flow, 10)).toEqual([]);
    expect(await lanes().unparkOverflow(owner, flow, 0)).toEqual([]);
  });

  test("what has been taken out again since is not parked by a call that comes late", async () => {
    const [seq = 0] = await subject.insert(aNewTask());
    await subject.own();
    const late = { ...soon, announcedUntil: subject.now + 0.5 };
    subject.passTime(1);
    expect(await parked([seq], late)).toEqual([seq]);
    await lanes().unparkOverflow(owner, flow, 1);

    expect(await parked([seq], late)).toEqual([]);
  });

  test("every flow that has overflown is found, once, in its order", async () => {
    const names = ["f1", "f2", "f3", "f4"].map((name) => FunctionName(name));
    const seqs = await subject.insert(
      ...names.flatMap((functionName) => [aNewTask({ functionName }), aNewTask({ functionName, lane: 9 })]),
    );
    await subject.own();
    await parked(seqs.slice(0, 6));

    const found = owned(await lanes().overflowFlows(owner, all));
    expect(found.map(({ functionName }) => functionName)).toEqual(names.slice(0, 3));
    expect(owned(await lanes().overflowFlows(owner, { limit: 2, countMax: 1 }))).toHaveLength(2);
    expect(owned(await lanes().overflowFlows(owner, { limit: 0, countMax: 1 }))).toEqual([]);
  });

  test("what is parked of each flow in the lanes of the owner is counted, up to a limit", async () => {
    const other = { ...flow, functionName: FunctionName("other") };
    const lane = (index: number) => ({ lane: index % 32 });
    const seqs = await subject.insert(
      ...Array.from({ length: 64 }, (_, index) => aNewTask(lane(index))),
      ...Array.from({ length: 4 }, (_, index) => aNewTask({ ...other, ...lane(index) })),
    );
    await subject.own();
    await parked(seqs.slice(1));
    await lanes().unparkOverflow(owner, flow, 3);
    const count = async (countMax: number, of = owner) =>
      owned(await lanes().overflowFlows(of, { limit: 10, countMax }));

    expect(await count(1_000)).toEqual([
      { ...flow, parked: 60 },
      { ...other, parked: 4 },
    ]);
    expect(await count(7)).toEqual([
      { ...flow, parked: 7 },
      { ...other, parked: 4 },
    ]);
    await lanes().raiseFloor({ queue: "q", prefix: "1", epoch: 9 });
    expect(await count(1_000, { queue: "q", prefix: "1", epoch: 9 })).toEqual([{ ...flow, parked: 32 }]);
  });

  test("what has overflown comes out when it is due, too, if nobody asks for its flow", async () => {
    const [seq = 0] = await subject.insert(aNewTask());
    await subject.own();
    await parked([seq]);
    subject.passTime(soon.dueInMs);

    expect(await lanes().unpark(owner, 10, [])).toMatchObject([{ seq }]);
    expect(await lanes().overflowFlows(owner, all)).toEqual([]);
  });
}

export function owned<T>(answer: T | Stale): T {
  if (answer === "stale") throw new Error("the owner owns its lanes");
  return answer;
}

function sorted(seqs: readonly Seq[]): readonly Seq[] {
  return seqs.toSorted((a, b) => a - b);
}
