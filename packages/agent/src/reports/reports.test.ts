import { RefusalReason } from "@sluice/protocol";
import { expect, test } from "vitest";
import { aSuccess, Owner, startWorld } from "../testing.ts";

const startedSeqs = (owner: Owner) => owner.startedAttempts.map(({ ref }) => ref?.seq);

test("an attempt is reported as started once it has run for a second, and not if it ends sooner", async () => {
  await using world = await startWorld();
  const owner = new Owner(world);
  await owner.attach();
  await owner.dispatch({ seq: 1 }, { seq: 2 }, { seq: 3 });
  const startedAtMs = world.clock.now();
  world.pool.flight(1).invocation.onStarted("instance-1");
  world.pool.flight(2).invocation.onStarted("instance-1");
  await world.clock.advance(500);
  world.pool.flight(2).end(aSuccess());
  await world.clock.advance(499);
  expect(owner.startedAttempts).toEqual([]);
  await world.clock.advance(1);
  expect(owner.startedAttempts).toEqual([
    { ref: { seq: 1, attempt: 1, queue: "q", lane: 0 }, startedAtMs, instanceId: "instance-1", progress: "" },
  ]);
  await world.clock.advance(10_000);
  expect(startedSeqs(owner)).toEqual([1]);
});

test("attempts come due by the time their handlers were called, with one timer", async () => {
  await using world = await startWorld();
  const owner = new Owner(world);
  await owner.attach();
  await owner.dispatch({ seq: 1 }, { seq: 2 }, { seq: 3 });
  const timersBefore = world.clock.pendingTimers;
  for (const seq of [3, 1, 2]) {
    world.pool.flight(seq).invocation.onStarted("instance-1");
    await world.clock.advance(10);
  }
  expect(world.clock.pendingTimers).toBeLessThanOrEqual(timersBefore + 1);
  await world.clock.advance(975);
  expect(startedSeqs(owner)).toEqual([3]);
  await world.clock.advance(20);
  expect(startedSeqs(owner)).toEqual([3, 1, 2]);
});

test("progress is reported at once, then the last value once a second", async () => {
  await using world = await startWorld();
  const owner = new Owner(world);
  await owner.attach();
  await owner.dispatch({ seq: 1 });
  const { invocation } = world.pool.flight(1);
  invocation.onStarted("instance-1");
  for (let percent = 0; percent <= 25; percent++) {
    invocation.onProgress?.(JSON.stringify({ percent }));
    await world.clock.advance(100);
  }
  expect(owner.startedAttempts.map(({ progress }) => progress)).toEqual([
    '{"percent":0}',
    '{"percent":9}',
    '{"percent":19}',
  ]);
  await world.clock.advance(2_000);
  expect(owner.startedAttempts.at(-1)?.progress).toBe('{"percent":25}');
  expect(owner.startedAttempts).toHaveLength(4);
});

test("an attempt that has ended is not reported as running any more", async () => {
  await using world = await startWorld();
  const owner = new Owner(world);
  await owner.attach();
  await owner.dispatch({ seq: 1 });
  const { invocation, end } = world.pool.flight(1);
  invocation.onStarted("instance-1");
  invocation.onProgress?.("1");
  await world.clock.settle();
  invocation.onProgress?.("2");
  end(aSuccess());
  await world.clock.settle();
  invocation.onProgress?.("3");
  await world.clock.advance(5_000);
  expect(owner.startedAttempts.map(({ progress }) => progress)).toEqual(["1"]);
});

test("progress goes in several frames when it is more than one message may have", async () => {
  await using world = await startWorld({ config: { slots: 300 } });
  const owner = new Owner(world);
  await owner.attach();
  for (let seq = 1; seq <= 300; seq++) await owner.dispatch({ seq });
  const progress = JSON.stringify("x".repeat(8_190));
  for (let seq = 1; seq <= 300; seq++) world.pool.flight(seq).invocation.onProgress?.(progress);
  await world.clock.advance(10);
  expect(owner.startedAttempts).toHaveLength(300);
  const frames = owner.of<{ attempts: readonly unknown[] }>("started").map(({ attempts }) => attempts.length);
  expect(Math.max(...frames)).toBe(128);
});

test("a new owner hears of the progress made so far", async () => {
  await using world = await startWorld();
  const owner = new Owner(world, { epoch: 1 });
  await owner.attach();
  await owner.dispatch({ seq: 1 });
  world.pool.flight(1).invocation.onStarted("instance-1");
  world.pool.flight(1).invocation.onProgress?.('"half"');
  await world.clock.advance(5_000);
  const successor = new Owner(world, { epoch: 2 });
  await successor.attach();
  expect(successor.startedAttempts.map(({ progress }) => progress)).toEqual(['"half"']);
});

test("owners hear of the room when it changes noticeably, ten times a second at most", async () => {
  await using world = await startWorld({ config: { slots: 100 } });
  const owner = new Owner(world);
  await owner.attach();
  const told = () => owner.of<{ slotsUsed: number }>("status").map(({ slotsUsed }) => slotsUsed);
  await owner.dispatch({ seq: 1 });
  await world.clock.advance(200);
  const before = told();
  expect(before.at(-1)).toBe(1);
  await owner.dispatch({ seq: 2 });
  await world.clock.advance(1_000);
  expect(told(), "one of a hundred slots is nothing new").toEqual(before);
  for (let step = 0; step < 50; step++) {
    await owner.dispatch({ seq: 10 + step });
    await world.clock.advance(10);
  }
  await world.clock.advance(200);
  expect(told().at(-1)).toBe(52);
  expect(told().length - before.length).toBeLessThanOrEqual(7);
});

test("three owners that send as much as they may have nearly nothing refused, and leave no slot empty", async () => {
  await using world = await startWorld({ config: { slots: 30 } });
  const owners = ["00", "01", "1"].map((prefix, index) => {
    const owner = new Owner(world, { prefix });
    return { owner, lane: index * 8, running: new Set<number>() };
  });
  const offers = await Promise.all(owners.map(async ({ owner }) => (await owner.attach())?.status?.slotsOffered ?? 0));
  expect(offers).toEqual([10, 10, 10]);

  let seq = 0;
  for (let round = 0; round < 40; round++) {
    for (const [index, { owner, lane, running }] of owners.entries()) {
      const offered = owner.of<{ slotsOffered: number }>("status").at(-1)?.slotsOffered ?? offers[index] ?? 0;
      const orders = Array.from({ length: Math.max(0, offered - running.size) }, () => ({ seq: ++seq, lane }));
      for (const order of orders) running.add(order.seq);
      if (orders.length > 0) await owner.dispatch(...orders);
      for (const { ref } of owner.refusedAttempts) running.delete(ref?.seq ?? 0);
    }
    for (const { running } of owners) {
      for (const done of [...running].slice(0, 3)) {
        running.delete(done);
        world.pool.flight(done).end(aSuccess());
      }
    }
    await world.clock.advance(100);
  }
  expect(owners.flatMap(({ owner }) => owner.refusedAttempts).length).toBeLessThan(seq / 20);
  expect(world.pool.flights.length).toBeGreaterThan(40 * 9);
});

test("an owner that works alone may have all but one of the slots", async () => {
  await using world = await startWorld({ config: { slots: 30 } });
  const [busy, idle] = [new Owner(world, { prefix: "0" }), new Owner(world, { prefix: "1" })];
  for (const owner of [busy, idle]) await owner.attach();
  await busy.dispatch({ seq: 1 });
  await world.clock.advance(200);
  expect(busy.of<{ slotsOffered: number }>("status").at(-1)?.slotsOffered).toBe(29);
});

test("a host that is short of memory starts nothing, and offers nothing until it has some again", async () => {
  let isShort = false;
  await using world = await startWorld({ isShortOfMemory: () => isShort });
  const owner = new Owner(world);
  await owner.attach();
  await owner.dispatch({ seq: 1 });
  isShort = true;
  await owner.dispatch({ seq: 2 });
  await world.clock.advance(200);
  expect(owner.refusedAttempts.map(({ ref, reason }) => [ref?.seq, reason])).toEqual([[2, RefusalReason.BUSY]]);
  const told = () => owner.of<{ slots: number; slotsOffered: number }>("status").at(-1);
  expect(told()).toMatchObject({ slots: 1, slotsOffered: 1 });

  isShort = false;
  await owner.send({ $case: "ping", value: { session: 1 } });
  expect(told()).toMatchObject({ slots: 10, slotsOffered: 10 });
  await owner.dispatch({ seq: 2 });
  expect(world.pool.runningCount).toBe(2);
});
