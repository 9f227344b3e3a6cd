import { OutcomeKind, RefusalReason } from "@sluice/protocol";
import { expect, test } from "vitest";
import type { Journal } from "./journal.ts";
import { createMemoryJournal } from "./journal.ts";
import { aFailure, aSuccess, FakePool, Owner, refOf, startWorld } from "./testing.ts";

const seqs = (attempts: readonly { readonly ref?: { readonly seq: number } | undefined }[]) =>
  attempts.map(({ ref }) => ref?.seq);

test("an attempt runs with what was dispatched, and its owner hears of its end at once", async () => {
  await using world = await startWorld();
  const owner = new Owner(world);
  await owner.attach();
  await owner.dispatch({ seq: 1, attempt: 2, epoch: 1, retries: 1 });
  const { spec, invocation } = world.pool.flight(1);
  expect(spec).toMatchObject({ functionName: "echo", handler: "index.handler", revision: 1 });
  expect(spec).not.toHaveProperty("initializer");
  expect(invocation).toMatchObject({
    taskId: "task-1",
    attempt: 2,
    retryCount: 1,
    fenceToken: "000002-0000000000000001",
  });
  expect(Buffer.from(invocation.payload).toString()).toBe("input 1");

  invocation.onStarted("instance-1");
  world.pool.flight(1).end(aSuccess("42"));
  await world.clock.settle();
  expect(owner.endedAttempts).toEqual([
    {
      ref: { seq: 1, attempt: 2, queue: "q", lane: 0 },
      startedAtMs: world.clock.now(),
      instanceId: "instance-1",
      outcome: expect.objectContaining({ kind: OutcomeKind.SUCCEEDED, result: Buffer.from("42") }),
    },
  ]);
});

test("attempts that end in one turn of the event loop share a frame", async () => {
  await using world = await startWorld();
  const owner = new Owner(world);
  await owner.attach();
  await owner.dispatch(...[1, 2, 3, 4, 5].map((seq) => ({ seq })));
  for (const flight of world.pool.flights) flight.end(aSuccess());
  await world.clock.settle();
  expect(owner.of("ended")).toHaveLength(1);
  expect(seqs(owner.endedAttempts)).toEqual([1, 2, 3, 4, 5]);
});

test("what the pool throws is a failure of the agent, to be retried", async () => {
  const pool = new FakePool();
  pool.onRun = () => {
    throw new Error("no more processes");
  };
  await using world = await startWorld({ pool });
  const owner = new Owner(world);
  await owner.attach();
  await owner.dispatch({ seq: 1 });
  expect(owner.endedAttempts[0]?.outcome).toMatchObject({
    kind: OutcomeKind.FAILED_RETRYABLE,
    errorType: "AgentError",
    errorMessage: expect.stringContaining("no more processes"),
  });
});

test("a dispatch that arrives twice starts once, and a third after the end is answered", async () => {
  await using world = await startWorld();
  const owner = new Owner(world);
  await owner.attach();
  await owner.dispatch({ seq: 1 });
  await owner.dispatch({ seq: 1 });
  expect(world.pool.flights).toHaveLength(1);
  world.pool.flight(1).end(aSuccess());
  await world.clock.settle();
  await owner.dispatch({ seq: 1 });
  expect(world.pool.flights).toHaveLength(1);
  expect(seqs(owner.endedAttempts)).toEqual([1, 1]);
  expect(owner.refusedAttempts).toEqual([]);
});

test("a higher epoch takes over a running attempt: its end goes to the new stream alone", async () => {
  await using world = await startWorld();
  const old = new Owner(world, { epoch: 1 });
  await old.attach();
  await old.dispatch({ seq: 1 });
  const successor = new Owner(world, { epoch: 2 });
  expect((await successor.attach())?.inventory).toEqual([
    { ref: refOf(1), outcome: undefined, startedAtMs: 0, instanceId: "", recovered: false },
  ]);
  await successor.dispatch({ seq: 1 });
  expect(world.pool.flights).toHaveLength(1);
  world.pool.flight(1).end(aSuccess());
  await world.clock.settle();
  expect(seqs(successor.endedAttempts)).toEqual([1]);
  expect(old.endedAttempts).toEqual([]);

  await old.dispatch({ seq: 2 });
  await old.confirm(1);
  expect(old.refusedAttempts).toEqual([{ ref: refOf(2), reason: RefusalReason.STALE }]);
  expect(world.agent.unconfirmedCount).toBe(1);
  const late = new Owner(world, { epoch: 1 });
  expect((await late.attach())?.refused).toEqual([{ partition: { queue: "q", prefix: "", epoch: 1 }, floor: 2 }]);
});

test("an end that an older stream has not sent yet is not sent there after a take-over", async () => {
  await using world = await startWorld();
  const old = new Owner(world, { epoch: 1 });
  await old.attach();
  await old.dispatch({ seq: 1 }, { seq: 2 });
  old.pause();
  world.pool.flight(1).end(aSuccess());
  await world.clock.settle();
  world.pool.flight(2).end(aSuccess());
  await world.clock.settle();
  const successor = new Owner(world, { epoch: 2 });
  expect(seqs((await successor.attach())?.inventory ?? [])).toEqual([1, 2]);
  await old.resume();
  // The first was on its way before; the second was not.
  expect(seqs(old.endedAttempts)).toEqual([1]);
});

test("a broken stream loses nothing: the next attach has what ran and what ended meanwhile", async () => {
  await using world = await startWorld();
  const first = new Owner(world, { session: 1 });
  await first.attach();
  await first.dispatch({ seq: 1 }, { seq: 2 });
  await first.breakOff();
  world.pool.flight(1).end(aSuccess());
  await world.clock.settle();
  const second = new Owner(world, { session: 2 });
  const inventory = (await second.attach())?.inventory ?? [];
  expect(inventory.map(({ ref, outcome }) => [ref?.seq, outcome?.kind])).toEqual([
    [1, OutcomeKind.SUCCEEDED],
    [2, undefined],
  ]);
  world.pool.flight(2).end(aFailure());
  await world.clock.settle();
  expect(seqs(second.endedAttempts)).toEqual([2]);
  await second.confirm(1, 2);
  expect(world.agent.unconfirmedCount).toBe(0);
});

test("frames that an older stream still carries are discarded after the re-attach", async () => {
  await using world = await startWorld();
  const old = new Owner(world, { session: 1 });
  await old.attach();
  const current = new Owner(world, { session: 2 });
  await current.attach();
  await old.dispatch({ seq: 1 });
  expect(old.refusedAttempts).toEqual([{ ref: refOf(1), reason: RefusalReason.STALE }]);
  await current.dispatch({ seq: 2 });
  await old.stop(2);
  expect(world.pool.flight(2).signal.aborted).toBe(false);
});

test("a stream that ended is not read any more", async () => {
  await using world = await startWorld();
  const owner = new Owner(world);
  await owner.attach();
  await owner.breakOff();
  expect(owner.ended).toEqual({ cause: undefined });
  await owner.dispatch({ seq: 1 });
  expect(world.pool.flights).toEqual([]);
});

test("a scheduler that ends its side gets what waits, then the end", async () => {
  await using world = await startWorld();
  const owner = new Owner(world);
  await owner.attach();
  await owner.dispatch({ seq: 1 });
  owner.pause();
  world.pool.flight(1).end(aSuccess());
  await world.clock.settle();
  owner.endInput();
  await owner.resume();
  expect(seqs(owner.endedAttempts)).toEqual([1]);
  expect(owner.ended).toEqual({ cause: undefined });
});

test("a stop ends the attempt through its signal", async () => {
  await using world = await startWorld();
  const owner = new Owner(world);
  await owner.attach();
  await owner.dispatch({ seq: 1 });
  await owner.stop(1);
  expect(owner.endedAttempts.map(({ outcome }) => outcome?.kind)).toEqual([OutcomeKind.STOPPED]);
});

test("a stop that arrives before its dispatch is answered, and nothing starts", async () => {
  await using world = await startWorld();
  const owner = new Owner(world);
  await owner.attach();
  await owner.stop(1);
  await owner.dispatch({ seq: 1 });
  expect(owner.endedAttempts.map(({ outcome }) => outcome?.kind)).toEqual([OutcomeKind.STOPPED, OutcomeKind.STOPPED]);
  expect(world.pool.flights).toEqual([]);
});

test("a ping is answered with what the agent has room for", async () => {
  await using world = await startWorld();
  const owner = new Owner(world);
  await owner.attach();
  await owner.dispatch({ seq: 1 });
  world.pool.warm.add(1);
  await world.clock.advance(1_000);
  await owner.send({ $case: "ping", value: { session: 1 } });
  expect(owner.of("status").at(-1)).toEqual({
    slots: 10,
    instancesMax: 16,
    slotsUsed: 1,
    slotsOffered: 10,
    preemptible: [0, 0, 0, 0],
    memoryMaxMb: 0,
    warmRevisions: [1],
    draining: false,
  });
});

test("an attempt of a function that was not sent is refused, and nothing else of its frame", async () => {
  await using world = await startWorld();
  const owner = new Owner(world);
  await owner.attach();
  await owner.dispatch({ seq: 1, functionRevision: 2 }, { seq: 2 });
  expect(owner.refusedAttempts).toEqual([{ ref: refOf(1), reason: RefusalReason.UNKNOWN_FUNCTION }]);
  expect(world.pool.flights.map(({ invocation }) => invocation.taskId)).toEqual(["task-2"]);
});

test("a batch is in the journal before any of it starts", async () => {
  const steps: string[] = [];
  const pool = new FakePool();
  pool.onRun = () => steps.push("run");
  const memory = createMemoryJournal();
  const journal: Journal = {
    ...memory,
    accepted: (attempts) => {
      steps.push(`accepted ${attempts.map(({ seq }) => seq)}`);
      memory.accepted(attempts);
    },
    confirmed: (attempts) => {
      steps.push(`confirmed ${attempts.map(({ seq }) => seq)}`);
      memory.confirmed(attempts);
    },
  };
  await using world = await startWorld({ pool, journal });
  const owner = new Owner(world);
  await owner.attach();
  await owner.dispatch({ seq: 1 }, { seq: 2 });
  for (const flight of pool.flights) flight.end(aSuccess());
  await world.clock.settle();
  await owner.confirm(1, 2);
  expect(steps).toEqual(["accepted 1,2", "run", "run", "confirmed 1,2"]);
});

test("an agent that cannot write its journal starts nothing, and says that it is busy", async () => {
  let isFull = true;
  const memory = createMemoryJournal();
  const journal: Journal = {
    ...memory,
    accepted: (attempts) => {
      if (isFull) throw new Error("no space left on device");
      memory.accepted(attempts);
    },
  };
  await using world = await startWorld({ journal });
  const owner = new Owner(world);
  await owner.attach();
  await owner.dispatch({ seq: 1 });
  expect(owner.refusedAttempts).toEqual([{ ref: refOf(1), reason: RefusalReason.BUSY }]);
  expect(world.pool.flights).toEqual([]);
  isFull = false;
  await owner.dispatch({ seq: 1 });
  expect(world.pool.flights).toHaveLength(1);
});

test("an inventory whose outcomes are too large for a frame is complete at once, and its outcomes follow", async () => {
  await using world = await startWorld({ config: { frameBytesMax: 1_000, slots: 20 } });
  const owner = new Owner(world, { session: 1 });
  await owner.attach();
  const all = Array.from({ length: 20 }, (_, index) => index + 1);
  await owner.dispatch(...all.map((seq) => ({ seq })));
  for (const flight of world.pool.flights) flight.end(aSuccess("x".repeat(300)));
  await world.clock.settle();
  const again = new Owner(world, { session: 2 });
  const inventory = (await again.attach())?.inventory ?? [];
  expect(seqs(inventory)).toEqual(all);
  const told = seqs(inventory.filter(({ outcome }) => outcome));
  expect(told).toEqual([1, 2, 3]);
  expect(seqs(again.endedAttempts)).toEqual(all.slice(3));
  expect(again.of<{ attempts: unknown[] }>("ended").map(({ attempts }) => attempts.length)).toEqual([3, 3, 3, 3, 3, 2]);
});

test("a stream that nobody reads is ended, and everything is told at the next attach", async () => {
  await using world = await startWorld({ config: { streamBacklogMax: 3 } });
  const owner = new Owner(world, { session: 1 });
  await owner.attach();
  owner.pause();
  await owner.dispatch(...[1, 2, 3, 4, 5, 6].map((seq) => ({ seq })));
  for (const flight of world.pool.flights) {
    flight.end(aSuccess());
    await world.clock.settle();
  }
  await owner.resume();
  expect(owner.ended?.cause).toMatchObject({ reason: "STREAM_STALLED" });
  const again = new Owner(world, { session: 2 });
  expect((await again.attach())?.inventory.filter(({ outcome }) => outcome)).toHaveLength(6);
});

test("a malformed frame ends its stream with an error, not the agent", async () => {
  await using world = await startWorld();
  const owner = new Owner(world, { prefix: "2" });
  await owner.attach();
  expect(owner.ended?.cause).toMatchObject({ reason: "INVALID_FRAME" });
  expect(await new Owner(world).attach()).toBeDefined();
});

test("a frame of a newer version is ignored", async () => {
  await using world = await startWorld();
  const owner = new Owner(world);
  await owner.send(undefined);
  expect(await owner.attach()).toBeDefined();
});
