import type { Flow } from "@sluice/core";
import { aFlow } from "@sluice/core/testing";
import type { Consumer } from "@sluice/queue";
import type { Announcement } from "@sluice/store";
import { expect, test } from "vitest";
import { overflowLoop } from "./overflow.ts";
import { pullLoop } from "./pull.ts";
import { type RowsOptions, rowsWorld } from "./rows.fixture.ts";

const noisy = aFlow({ account: "noisy" });
const quiet = aFlow({ account: "quiet" });
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
