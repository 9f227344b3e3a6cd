import { type Flow, flowKey, type Seq } from "@sluice/core";
import { aFlow } from "@sluice/core/testing";
import type { Consumer } from "@sluice/queue";
import type { Announcement } from "@sluice/store";
import { expect, test } from "vitest";
import type { Load } from "./look-ahead.ts";
import { overflowLoop } from "./overflow.ts";
import { pick } from "./pick.ts";
import { pullLoop } from "./pull.ts";
import { type RowsOptions, rowsWorld } from "./rows.fixture.ts";

const noisy = aFlow({ account: "noisy" });
const quiet = aFlow({ account: "quiet" });
const loud = aFlow({ account: "loud" });
/** About 1,900 tasks that were submitted one by one. */
const small = { bytesMax: 2_500_000 };

async function startWorld(options: RowsOptions = small) {
  const world = await rowsWorld(options);
  world.run(pullLoop(world.context, world.context.consumers[2] as Consumer, 2));
  world.run(overflowLoop(world.context));
  const sizeOf = (flow: Flow) => world.context.order.sizeOf(flow);
  return { ...world, sizeOf };
}
const oneByOne = { together: 1 };
/** As agents would, some at a time. */
async function settleAll(world: Awaited<ReturnType<typeof startWorld>>, tasks: number): Promise<Announcement[]> {
  const settled: Announcement[] = [];
  for (let round = 0; round < 500 && settled.length < tasks; round++) {
    for (let count = 0; count < 100; count++) settled.push(...[world.settleNext()].flatMap((row) => row ?? []));
    await world.clock.advance(300);
  }
  expect(settled).toHaveLength(tasks);
  return settled;
}

test("whatever one flow submits one by one, the next task of another is in memory at once", async () => {
  const world = await startWorld();
  await world.submit(quiet, 1);
  for (let round = 0; round < 10; round++) {
    await world.submit(noisy, 1_000, oneByOne);
    await world.clock.advance(100);
  }
  const before = world.sizeOf(quiet);

  await world.submit(quiet, 1);
  await world.clock.advance(300);

  expect(world.sizeOf(quiet) - before).toBe(1);
  expect(world.store.parkedRows().length).toBeGreaterThan(7_000);
  expect(world.sizeOf(noisy)).toBeGreaterThan(500);
  expect(world.sizeOf(noisy) + world.store.parkedRows().length).toBe(10_000);
});

test("the newest are parked: what stays in memory is what was submitted first", async () => {
  const world = await startWorld();
  await world.submit(quiet, 1);
  for (let round = 0; round < 5; round++) {
    await world.submit(noisy, 1_000, oneByOne);
    await world.clock.advance(1_000);
  }
  const oldestParked = Math.min(...world.store.parkedRows().map(({ seq }) => seq));
  const inMemory = [...world.store.rows.values()].filter(({ seq, dueAt }) => dueAt === undefined && seq < oldestParked);
  expect(inMemory.length).toBeGreaterThan(500);
});

test("everything that was parked is dispatched, in order, parked once, and nobody waits for its due time", async () => {
  const world = await startWorld();
  await world.submit(quiet, 1);
  for (let round = 0; round < 5; round++) {
    await world.submit(noisy, 1_000, oneByOne);
    await world.clock.advance(500);
  }
  const startedAt = world.clock.now();
  const order: number[] = [];
  while (order.length < 5_001 && world.clock.now() < startedAt + 50_000) {
    for (let count = 0; count < 100; count++) {
      const next = world.settleNext();
      if (next) order.push(next.seq);
    }
    await world.clock.advance(100);
  }
  const seqs = order.filter((seq) => seq > 1);
  expect(seqs).toHaveLength(5_000);
  // Those that come out together share blocks, by lane.
  const passed = seqs.map((seq, place) => Math.abs(seq - (place + 2)));
  expect(Math.max(...passed)).toBeLessThan(1_500);
  expect(Math.max(...[...world.store.rows.values()].map(({ parked }) => parked))).toBe(1);
  expect(world.clock.now() - startedAt).toBeLessThan(10_000);
  expect(world.memory.size).toBe(0);
});

test("a flow that is alone is never parked, and its tasks are all dispatched", async () => {
  const world = await startWorld();
  await world.submit(noisy, 1_000, oneByOne);
  await world.clock.advance(5_000);
  // Until what came before it listened is delivered, it cannot know that nobody else is there.
  await world.submit(noisy, 1_000, oneByOne);
  await world.clock.advance(5_000);
  const parked = world.store.parkedRows().length;
  for (let round = 0; round < 5; round++) {
    await world.submit(noisy, 1_000, oneByOne);
    await world.clock.advance(1_000);
  }
  expect(world.store.parkedRows().length).toBe(parked);

  await world.submit(quiet, 1);
  expect(world.sizeOf(quiet)).toBe(1);
  await world.clock.advance(2_000);
  expect(world.store.parkedRows().length).toBeGreaterThan(parked);
});

test("with a driver that hears nothing, the excess is parked, whoever else is there", async () => {
  const world = await startWorld({ ...small, isDeaf: true });
  await world.submit(noisy, 5_000, oneByOne);
  await world.clock.advance(5_000);
  await world.submit(quiet, 1);
  await world.clock.advance(100);
  expect(world.sizeOf(quiet)).toBe(1);
});

test("what earlier owners parked is taken out as soon as every agent has answered, and then as the flow has room", async () => {
  const world = await startWorld({ ...small, unanswered: ["a1"] });
  for (const { seq } of world.store.insert(noisy, 3_000)) {
    Object.assign(world.store.rows.get(seq) ?? {}, { dueAt: 1e15 });
  }
  await world.clock.advance(5_000);
  expect(world.memory.size).toBe(0);
  world.context.unanswered.clear();
  let settled = 0;
  for (let round = 0; round < 20; round++) {
    await world.clock.advance(300);
    while (world.settleNext()) settled++;
  }
  expect(settled).toBe(3_000);
});

test("nothing is parked while an agent may be running rows of earlier owners", async () => {
  const world = await startWorld({ ...small, isDeaf: true });
  world.context.unanswered.add("a1");
  await world.submit(noisy, 5_000, oneByOne);
  await world.clock.advance(5_000);
  expect(world.store.calls.parkOverflow).toBe(0);
});

test("while the outcome is not known, nobody acts on the rows; they are parked once the store answers", async () => {
  const world = await startWorld({ ...small, isDeaf: true });
  world.store.failing.add("parkOverflow");
  await world.submit(noisy, 5_000, oneByOne);
  await world.clock.advance(5_000);
  const { size } = world.memory;
  expect(world.sizeOf(noisy)).toBeLessThan(size);

  world.store.failing.delete("parkOverflow");
  await world.clock.advance(5_000);
  expect(world.store.parkedRows().length).toBeGreaterThan(2_000);
  expect([...world.memory.activeTasks()]).toEqual([]);
});

test("where next to nothing fits, what was parked does not come and go, and is dispatched all the same", async () => {
  const world = await startWorld({ bytesMax: 100_000 });
  await world.submit(quiet, 40, oneByOne);
  await world.submit(noisy, 200, oneByOne);
  await world.clock.advance(10_000);
  const timesParked = () => [...world.store.rows.values()].reduce((sum, { parked }) => sum + parked, 0);
  const before = timesParked();
  expect(before).toBeGreaterThan(100);
  await world.clock.advance(20_000);
  expect(timesParked()).toBe(before);
  expect(world.sizeOf(quiet)).toBeGreaterThan(0);
  expect(world.sizeOf(noisy)).toBeGreaterThan(0);

  let settled = 0;
  for (let round = 0; round < 200; round++) {
    await world.clock.advance(300);
    while (world.settleNext()) settled++;
  }
  expect(settled).toBe(240);
});

test("a low priority does not pass what was parked of its flow", async () => {
  const world = await startWorld();
  world.run(pullLoop(world.context, world.context.consumers[3] as Consumer, 3));
  await world.submit(quiet, 1);
  await world.submit(noisy, 1_000, { ...oneByOne, priority: 3 });
  for (let round = 0; round < 3; round++) {
    await world.submit(noisy, 1_000, oneByOne);
    await world.clock.advance(1_000);
  }
  expect(world.store.parkedRows().filter(({ priority }) => priority === 2).length).toBeGreaterThan(1_000);

  const settled = await settleAll(world, 4_001);
  expect(settled.slice(0, 3_001).filter(({ priority }) => priority === 3)).toEqual([]);
  expect(Math.max(...[...world.store.rows.values()].map(({ parked }) => parked))).toBe(1);
});

test("where next to nothing fits, a low priority does not pass what was parked of its flow, however fast it goes", async () => {
  const world = await startWorld({ bytesMax: 100_000 });
  world.run(pullLoop(world.context, world.context.consumers[3] as Consumer, 3));
  await world.submit(quiet, 40, oneByOne);
  await world.submit(noisy, 20, { ...oneByOne, priority: 3 });
  await world.submit(noisy, 200, oneByOne);
  await world.clock.advance(10_000);
  expect(world.store.parkedRows().filter(({ priority }) => priority === 2).length).toBeGreaterThan(100);

  const settled: Announcement[] = [];
  const startedAt = world.clock.now();
  // All that may go, at every moment: faster than it looks after what is parked.
  while (settled.length < 260 && world.clock.now() < startedAt + 60_000) {
    for (let row = world.settleNext(); row; row = world.settleNext()) settled.push(row);
    await world.clock.advance(10);
  }
  const ofNoisy = settled.filter(({ accountId }) => accountId === noisy.accountId);
  expect(ofNoisy).toHaveLength(220);
  expect(ofNoisy.slice(0, 200).filter(({ priority }) => priority === 3)).toEqual([]);
  // It is not waited for the next look, either.
  expect(world.clock.now() - startedAt).toBeLessThan(3_000);
});

test("what is parked comes back as soon as nothing is left of its flow, and not at the next look", async () => {
  const world = await startWorld({ bytesMax: 100_000 });
  await world.submit(quiet, 40, oneByOne);
  await world.submit(noisy, 200, oneByOne);
  await world.clock.advance(10_000);
  expect(world.store.parkedRows().length).toBeGreaterThan(100);

  let settled = 0;
  const startedAt = world.clock.now();
  while (settled < 240 && world.clock.now() < startedAt + 60_000) {
    while (world.settleNext()) settled++;
    await world.clock.advance(1);
  }
  // A look every 250 ms would bring a handful each.
  expect(world.clock.now() - startedAt).toBeLessThan(1_000);
});

test("a flow that was parked again and again comes back as fast as there is room", async () => {
  const world = await startWorld();
  await world.submit(quiet, 1);
  let settled = 0;
  const settle = (most: number) => {
    for (let count = 0; count < most && world.settleNext(); count++) settled++;
  };
  for (let round = 0; round < 40; round++) {
    await world.submit(noisy, 500, oneByOne);
    settle(200);
    await world.clock.advance(250);
  }
  expect(world.store.parkedRows().length).toBeGreaterThan(7_000);
  let rounds = 0;
  for (; settled < 20_001 && rounds < 200; rounds++) {
    settle(5_000);
    await world.clock.advance(250);
  }
  // Some 1,400 fit into memory.
  expect(rounds).toBeLessThan(25);
});

/** Two flows of which most is parked, and one that is not. */
async function startOverflown() {
  const world = await startWorld({ bytesMax: 100_000 });
  await world.submit(quiet, 40, oneByOne);
  await world.submit(noisy, 200, oneByOne);
  await world.submit(loud, 200, oneByOne);
  await world.clock.advance(10_000);
  const parkedOf = (flow: Flow) =>
    world.store.parkedRows().filter(({ accountId }) => accountId === flow.accountId).length;
  expect(parkedOf(noisy)).toBeGreaterThan(100);
  expect(parkedOf(loud)).toBeGreaterThan(100);
  const settled: Announcement[] = [];
  const settledOf = (flow: Flow) => settled.filter(({ accountId }) => accountId === flow.accountId).length;
  /** Everything that may go, at every moment. */
  async function settleFor(ms: number, everyMs = 10): Promise<void> {
    for (let passed = 0; passed < ms; passed += everyMs) {
      for (let row = world.settleNext(); row; row = world.settleNext()) settled.push(row);
      await world.clock.advance(everyMs);
    }
  }
  return { ...world, parkedOf, settledOf, settleFor };
}

test("what is parked comes back, and is dispatched, while the queue is away", async () => {
  const world = await startOverflown();
  world.state.isQueueAway = true;
  world.context.sights.doubt();
  await world.settleFor(5_000);
  expect([world.settledOf(noisy), world.settledOf(loud)]).toEqual([200, 200]);
});

test("a flow whose rows cannot be read holds up no other one, and loses nothing", async () => {
  const world = await startOverflown();
  world.store.failing.add(`unparkOverflow of ${noisy.accountId}`);
  await world.settleFor(3_000);
  expect(world.settledOf(loud)).toBe(200);
  expect(world.settledOf(noisy)).toBeLessThan(100);
  world.store.failing.clear();
  await world.settleFor(3_000);
  expect(world.settledOf(noisy)).toBe(200);
});

test("a flow does not wait for ever for what does not come back", async () => {
  const world = await startOverflown();
  world.store.failing.add("unparkOverflow");
  await world.settleFor(3_000);
  await world.submit(noisy, 1, { ...oneByOne, priority: 3 });
  world.run(pullLoop(world.context, world.context.consumers[3] as Consumer, 3));
  await world.settleFor(1_000);
  const before = world.settledOf(noisy);
  await world.settleFor(3_000);
  expect(world.settledOf(noisy)).toBe(before);
  await world.settleFor(3_000);
  expect(world.settledOf(noisy)).toBe(before + 1);
});

test("the loops do not wake each other for ever over a flow that must wait, while nothing can be parked", async () => {
  const world = await startOverflown();
  const { context } = world;
  world.store.failing.add("unparkOverflow");
  await world.settleFor(3_000);
  Object.assign(context, { gates: { ...context.gates, room: () => 0 } });
  // How everything has ended that comes now is known, and not written yet: so nothing of it may leave.
  const last = Math.max(...world.store.rows.keys());
  for (let seq = last + 1; seq <= last + 300; seq++) {
    context.suspects.set(seq as Seq, { attempt: 0, witnesses: new Set(), end: undefined });
  }
  await world.submit(quiet, 300, oneByOne);
  await world.clock.advance(1_000);
  expect(context.lookAhead.isTight(world.memory.loads[2] as Load)).toBe(true);

  await world.submit(noisy, 1, { ...oneByOne, priority: 3 });
  world.run(pullLoop(context, context.consumers[3] as Consumer, 3));
  let picks = 0;
  world.run(async (signal) => {
    while (!signal.aborted && picks < 1_000) {
      await context.wakeDispatch.wait(signal);
      expect(pick(context)).toEqual([]);
      picks++;
    }
  });
  await world.clock.advance(2_000);
  expect(context.overflown.get(flowKey(noisy))?.passedSince).toBeDefined();
  expect(picks).toBeLessThan(50);
});

test("before anything is known of what an earlier owner has parked, the flow does not wait for it", async () => {
  const world = await startWorld();
  await world.submit(noisy, 10, oneByOne);
  await world.clock.advance(100);
  const { accountId, functionName } = noisy;
  for (const { seq } of world.store.insert(noisy, 10)) Object.assign(world.store.rows.get(seq) ?? {}, { dueAt: 1e15 });
  world.store.failing.add("unparkOverflow");
  await world.clock.advance(31_000);
  expect(world.context.overflown.has(`${accountId}/${functionName}`)).toBe(true);
  expect(world.settleNext()).toBeDefined();
});

test("a memory full of what must wait for its parked rows makes room for them, many at a time", async () => {
  const world = await startWorld();
  // Many flows wait, so little is kept of each.
  const { gates } = world.context;
  const withoutRoom: typeof gates = {
    ...gates,
    room: (flow) => (flow.flowKey.startsWith("idle") ? 0 : gates.room(flow)),
  };
  Object.assign(world.context, { gates: withoutRoom });
  for (let number = 0; number < 100; number++) await world.submit(aFlow({ account: `idle-${number}` }), 1);
  for (let round = 0; round < 6; round++) {
    await world.submit(noisy, 500, oneByOne);
    await world.clock.advance(500);
  }
  const before = world.store.calls.unparkOverflow;
  let settled = 0;
  // As many come as go: what is taken out of the queue meanwhile is less urgent than all that is parked.
  for (let round = 0; round < 100; round++) {
    await world.submit(noisy, 100, oneByOne);
    for (let count = 0; count < 100 && world.settleNext(); count++) settled++;
    await world.clock.advance(100);
  }
  expect(settled).toBeGreaterThan(9_000);
  expect(world.store.calls.unparkOverflow - before).toBeLessThan(60);
});
