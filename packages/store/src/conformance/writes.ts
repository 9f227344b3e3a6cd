import type { TaskEvent, TaskStatus } from "@sluice/core";
import { expect, test } from "vitest";
import { eventsKept, type ParkWrite, type RunningWrite, type TaskWrite } from "../index.ts";
import { aNewTask, aSettle, bytes, owner, type Subject } from "./subject.ts";

export function aPark(seq: number, overrides: Partial<ParkWrite> = {}): ParkWrite {
  return {
    kind: "park",
    seq,
    attempt: 1,
    lane: 0,
    status: "Retrying",
    dueAt: 1,
    reason: "backoff",
    nextAttempt: 2,
    retries: 1,
    lostAttempts: 0,
    error: undefined,
    events: [],
    ...overrides,
  };
}

export function aRunning(seq: number, overrides: Partial<RunningWrite> = {}): RunningWrite {
  return {
    kind: "running",
    seq,
    attempt: 1,
    lane: 0,
    startedAt: 1_000,
    agentId: "host-1",
    instanceId: "instance-1",
    progress: undefined,
    ...overrides,
  };
}

const error = { type: "Boom", message: "it broke", body: '{"a":1}' };

export function describeWrites(subject: Subject): void {
  test("a row that is parked may be given to the owner of another lane in the same write", async () => {
    const [here = 0, stays = 0, other = 0] = await subject.insert(aNewTask(), aNewTask(), aNewTask({ lane: 1 }));
    await subject.own();
    const target = { queue: "r", prefix: "", epoch: 9 };
    const moveTo = { queue: "r", lane: 17 };
    const park = { status: "Enqueued", reason: "throttle", nextAttempt: 1, retries: 0, dueAt: subject.now } as const;

    const written = await subject.store.lanes.write(owner, [
      aPark(here, { ...park, moveTo }),
      aPark(stays, park),
      aPark(other, { ...park, moveTo }),
    ]);

    expect(written).toEqual([true, true, false]);
    expect(await subject.store.lanes.read(owner, [here])).toEqual([]);
    expect(await subject.row(stays)).toMatchObject({ lane: 0 });
    expect(await subject.store.lanes.write(owner, [aSettle(here, { lane: 17 }), aSettle(here)])).toEqual([
      false,
      false,
    ]);
    expect(await subject.store.lanes.raiseFloor(target)).toBe(true);
    expect(await subject.store.lanes.dueIn(target, 10)).toBe(0);
    expect(await subject.store.lanes.unpark(target, 10, [])).toMatchObject([{ seq: here, lane: 17, priority: 2 }]);
    expect(await subject.store.lanes.read(target, [here])).toMatchObject([
      { seq: here, lane: 17, stamp: 9, attempt: 1, dueAt: undefined, status: "Enqueued" },
    ]);
    expect(await subject.store.lanes.write(target, [aSettle(here, { lane: 17 })])).toEqual([true]);
  });

  test("a row may move within the queue; whoever is late finds it gone", async () => {
    const [seq = 0] = await subject.insert(aNewTask({ lane: 3 }));
    await subject.own();
    const park = { status: "Enqueued", reason: "throttle", nextAttempt: 1, retries: 0, dueAt: subject.now } as const;
    const move = aPark(seq, { ...park, lane: 3, moveTo: { queue: "q", lane: 30 } });
    expect(await subject.store.lanes.write(owner, [move, aSettle(seq, { lane: 3 })])).toEqual([true, false]);
    expect(await subject.row(seq)).toMatchObject({ lane: 30, dueAt: subject.now });
    expect(await subject.store.lanes.write(owner, [move])).toEqual([false]);
  });

  test("rows are read by number, once each, also final, parked and foreign ones; missing ones are left out", async () => {
    const half = { queue: "q", prefix: "0", epoch: owner.epoch };
    const tasks = [aNewTask(), aNewTask({ delayMs: 5 }), aNewTask({ lane: 31, payload: bytes("p") }), aNewTask()];
    const seqs = await subject.insert(...tasks);
    await subject.own();
    await subject.store.lanes.write(owner, [aSettle(seqs[3] ?? 0)]);

    const rows = await subject.store.lanes.read(half, [...seqs, 999, ...seqs]);

    if (rows === "stale") throw new Error("unreachable");
    expect(rows.map((row) => row.seq).sort((a, b) => a - b)).toEqual(seqs);
    expect(rows.find((row) => row.seq === seqs[2])).toMatchObject({ lane: 31, payload: bytes("p"), stamp: 0 });
    expect(rows.find((row) => row.seq === seqs[3])?.endedAt).toBe(subject.now);
    expect(await subject.store.lanes.read(owner, [])).toEqual([]);
  });

  test("the rows of another queue are not for this owner, whatever a message says", async () => {
    const [own = 0, other = 0] = await subject.insert(aNewTask(), aNewTask({ queue: "r" }));
    await subject.own();
    const rows = await subject.store.lanes.read(owner, [own, other]);
    expect(rows).toMatchObject([{ seq: own }]);
  });

  test("a settlement writes status, result, error, attempt's place and timeline at once", async () => {
    const task = aNewTask({ payload: bytes("in") });
    const [seq = 0] = await subject.insert(task);
    await subject.own();
    subject.passTime(50);
    const events = [
      { status: "Running", at: subject.now - 10, attempt: 1, detail: { agentId: "host-1" } },
      { status: "Failed", at: subject.now, attempt: 1 },
    ] as const;

    const held = await subject.store.lanes.write(owner, [
      aSettle(seq, {
        status: "Failed",
        result: bytes("out"),
        error,
        startedAt: subject.now - 10,
        agentId: "host-1",
        instanceId: "instance-1",
        events,
      }),
    ]);

    expect(held).toEqual([true]);
    const settled = await subject.store.tasks.get(task);
    expect(settled).toMatchObject({
      status: "Failed",
      result: bytes("out"),
      payload: bytes("in"),
      error,
      startedAt: subject.now - 10,
      endedAt: subject.now,
      agentId: "host-1",
      instanceId: "instance-1",
      attempt: 1,
    });
    expect(settled?.events.slice(1)).toEqual(events);
  });

  test("a park writes the next attempt and its counters, and keeps what is known of the last one", async () => {
    const task = aNewTask();
    const [seq = 0] = await subject.insert(task);
    await subject.own();
    const first = { status: "Running", at: 1, attempt: 1 } as const;
    const second = { status: "Retrying", at: 2, attempt: 1 } as const;

    const held = await subject.store.lanes.write(owner, [
      aRunning(seq, { progress: '{"done":1}' }),
      aPark(seq, {
        dueAt: subject.now + 9,
        nextAttempt: 2,
        retries: 1,
        lostAttempts: 2,
        error,
        events: [first, second],
      }),
    ]);

    expect(held).toEqual([true, true]);
    const parked = await subject.store.tasks.get(task);
    expect(parked).toMatchObject({
      status: "Retrying",
      dueAt: subject.now + 9,
      parkReason: "backoff",
      attempt: 2,
      retries: 1,
      lostAttempts: 2,
      error,
      startedAt: 1_000,
      agentId: "host-1",
      progress: undefined,
      endedAt: undefined,
    });
    expect(parked?.events.slice(1)).toEqual([first, second]);
  });

  test("of the events of a task that is parked for ever the first and the last stay, whoever adds to them", async () => {
    const tasks = [aNewTask(), aNewTask({ expiresAfterMs: 1 }), aNewTask()];
    const seqs = await subject.insert(...tasks);
    await subject.own();
    const added = (attempt: number): TaskEvent[] =>
      ["Dequeued", "Running", "Enqueued"].map((status) => ({ status: status as TaskStatus, at: attempt, attempt }));
    const parks = 60;
    for (let attempt = 1; attempt <= parks; attempt++) {
      const again = { attempt, nextAttempt: attempt + 1, dueAt: subject.now, events: added(attempt) };
      await subject.store.lanes.write(
        owner,
        seqs.map((seq) => aPark(seq, again)),
      );
      if (attempt === 33) {
        // The acceptance and 99 others: as many as may stay.
        const full = await subject.store.tasks.get(tasks[0] ?? aNewTask());
        expect([full?.events.length, full?.eventsLeftOut]).toEqual([eventsKept.first + eventsKept.last, 0]);
      }
      if (attempt < parks) await subject.store.lanes.unpark(owner, seqs.length, []);
    }
    const [settled = 0, expired = 0] = seqs;
    subject.passTime(1);

    await subject.store.tasks.requestStop(tasks[0] ?? aNewTask());
    const end: TaskEvent = { status: "Stopped", at: 1, attempt: parks + 1 };
    await subject.store.lanes.write(owner, [
      aSettle(settled, { attempt: parks + 1, status: "Stopped", events: [end] }),
    ]);
    await subject.store.lanes.expire(owner, [expired], { stampMin: 0 });

    const every = Array.from({ length: parks }, (_, index) => added(index + 1)).flat();
    const ends: readonly TaskStatus[][] = [["Stopping", "Stopped"], ["Expired"], []];
    for (const [index, statuses] of ends.entries()) {
      const task = await subject.store.tasks.get(tasks[index] ?? aNewTask());
      const all = ["Enqueued", ...every.map(({ status }) => status), ...statuses];
      expect(task?.events.map(({ status }) => status)).toEqual([
        ...all.slice(0, eventsKept.first),
        ...all.slice(-eventsKept.last),
      ]);
      expect(task?.events.slice(1, eventsKept.first)).toEqual(every.slice(0, eventsKept.first - 1));
      expect(task?.eventsLeftOut).toBe(all.length - eventsKept.first - eventsKept.last);
    }
  });

  test("a park without an error keeps the last one; a success clears it", async () => {
    const task = aNewTask();
    const [seq = 0] = await subject.insert(task);
    await subject.own();
    await subject.store.lanes.write(owner, [aPark(seq, { error })]);
    await subject.store.lanes.unpark(owner, 1, []);
    const again = { attempt: 2, nextAttempt: 2, status: "Enqueued", reason: "throttle" } as const;

    await subject.store.lanes.write(owner, [aPark(seq, again)]);
    expect(await subject.store.tasks.get(task)).toMatchObject({ error, status: "Enqueued", parkReason: "throttle" });

    await subject.store.lanes.write(owner, [aSettle(seq, { attempt: 2 })]);
    expect(await subject.store.tasks.get(task)).toMatchObject({
      error: undefined,
      dueAt: undefined,
      parkReason: undefined,
    });
  });

  test("a running attempt shows its place and progress, and progress stays until there is a newer one", async () => {
    const task = aNewTask();
    const [seq = 0] = await subject.insert(task);
    await subject.own();

    await subject.store.lanes.write(owner, [aRunning(seq, { progress: '{"done":1}' })]);
    await subject.store.lanes.write(owner, [aRunning(seq, { startedAt: 2_000 })]);

    expect(await subject.store.tasks.get(task)).toMatchObject({
      status: "Running",
      startedAt: 2_000,
      agentId: "host-1",
      instanceId: "instance-1",
      progress: '{"done":1}',
      events: [{ status: "Enqueued" }],
    });
  });

  const kinds: { title: string; make: (seq: number, overrides: object) => TaskWrite }[] = [
    { title: "settle", make: aSettle },
    { title: "park", make: (seq, overrides) => aPark(seq, { nextAttempt: 3, ...overrides }) },
    { title: "running", make: aRunning },
  ];

  test.each(kinds)(
    "$title takes effect only on its attempt, in its lane, on a row that is not final",
    async ({ make }) => {
      const half = { queue: "q", prefix: "0", epoch: owner.epoch };
      const tasks = [aNewTask(), aNewTask({ lane: 31 }), aNewTask(), aNewTask({ queue: "other" })];
      const [seq = 0, foreign = 0, final = 0, elsewhere = 0] = await subject.insert(...tasks);
      await subject.own();
      await subject.store.lanes.write(owner, [aSettle(final, { status: "Stopped" })]);
      const before = await Promise.all(tasks.map((task) => subject.store.tasks.get(task)));

      const held = await subject.store.lanes.write(half, [
        make(seq, { attempt: 2 }),
        make(seq, { lane: 1 }),
        make(foreign, { lane: 31 }),
        make(final, {}),
        make(elsewhere, {}),
        make(12_345, {}),
      ]);

      expect(held).toEqual([false, false, false, false, false, false]);
      expect(await Promise.all(tasks.map((task) => subject.store.tasks.get(task)))).toEqual(before);
      expect(await subject.store.lanes.write(half, [make(seq, {})])).toEqual([true]);
    },
  );

  test("a parked row is neither parked again nor shown as running; it may be settled", async () => {
    const [seq = 0] = await subject.insert(aNewTask({ delayMs: 1_000 }));
    await subject.own();

    const held = await subject.store.lanes.write(owner, [
      aPark(seq),
      aRunning(seq),
      aSettle(seq, { status: "Expired" }),
    ]);

    expect(held).toEqual([false, false, true]);
    expect(await subject.row(seq)).toMatchObject({ status: "Expired", dueAt: undefined });
    expect(await subject.store.lanes.dueIn(owner, 86_400_000)).toBeUndefined();
  });

  test("writes to one row in one batch take effect in their order", async () => {
    const [seq = 0, other = 0] = await subject.insert(aNewTask(), aNewTask());
    await subject.own();

    const held = await subject.store.lanes.write(owner, [
      aSettle(seq, { status: "Failed" }),
      aRunning(other),
      aSettle(seq),
      aSettle(other),
      aRunning(other),
    ]);

    expect(held).toEqual([true, true, false, true, false]);
    expect(await subject.row(seq)).toMatchObject({ status: "Failed" });
    expect(await subject.row(other)).toMatchObject({ status: "Succeeded" });
  });

  test("a batch may mix kinds, and each answer belongs to its write", async () => {
    const seqs = await subject.insert(...Array.from({ length: 9 }, () => aNewTask()));
    await subject.own();
    const writes = [...seqs].reverse().map((seq, index): TaskWrite => {
      if (index % 3 === 0) return aSettle(seq, { attempt: index === 3 ? 2 : 1 });
      return index % 3 === 1 ? aPark(seq) : aRunning(seq);
    });

    const held = await subject.store.lanes.write(owner, writes);

    expect(held).toEqual(writes.map((_, index) => index !== 3));
    const statuses = await Promise.all([...seqs].reverse().map(async (seq) => (await subject.row(seq)).status));
    const expected = ["Succeeded", "Retrying", "Running"];
    expect(statuses).toEqual(writes.map((_, index) => (index === 3 ? "Enqueued" : expected[index % 3])));
  });

  test("an empty batch is no write", async () => {
    await subject.own();

    expect(await subject.store.lanes.write(owner, [])).toEqual([]);
  });

  test("an attempt that would go down is a bug", async () => {
    const [seq = 0] = await subject.insert(aNewTask());
    await subject.own();

    const write = subject.store.lanes.write(owner, [aPark(seq, { attempt: 3, nextAttempt: 2 })]);

    await expect(write).rejects.toThrow("an attempt never goes down");
  });

  test("what handlers say may contain anything; what the database cannot hold is replaced", async () => {
    const task = aNewTask();
    const [seq = 0] = await subject.insert(task);
    await subject.own();
    const odd = 'a\0b\ud800c "\\u0000" 😀';

    const held = await subject.store.lanes.write(owner, [
      aRunning(seq, { progress: odd }),
      aSettle(seq, {
        status: "Failed",
        error: { type: odd, message: odd, body: odd },
        events: [{ status: "Failed", at: 1, attempt: 1, detail: { message: odd } }],
      }),
    ]);

    const kept = 'a\u{fffd}b\u{fffd}c "\\u0000" 😀';
    expect(held).toEqual([true, true]);
    const stored = await subject.store.tasks.get(task);
    expect(stored?.error).toEqual({ type: kept, message: kept, body: kept });
    expect(stored?.events[1]?.detail).toEqual({ message: kept });
    expect(stored?.progress).toBe(kept);
  });

  test("a result of 256 KiB is stored", async () => {
    const task = aNewTask();
    const [seq = 0] = await subject.insert(task);
    await subject.own();
    const result = new Uint8Array(256 * 1024).fill(3);

    await subject.store.lanes.write(owner, [aSettle(seq, { result })]);

    const stored = (await subject.store.tasks.get(task))?.result ?? new Uint8Array();
    expect(Buffer.compare(stored, result)).toBe(0);
  });
}
