import { aFlow } from "@sluice/core/testing";
import type { Consumer } from "@sluice/queue";
import { expect, test } from "vitest";
import { expireLoop } from "./expire.ts";
import { pullLoop } from "./pull.ts";
import { owner, type RowsOptions, rowsWorld } from "./rows.fixture.ts";

const echo = aFlow();

async function startExpiring(options?: RowsOptions) {
  const world = await rowsWorld(options);
  world.run(pullLoop(world.context, world.context.consumers[2] as Consumer, 2));
  return world;
}

test("a backlog that has expired is ended in bulk, acked and forgotten, and no row is read", async () => {
  const world = await startExpiring();
  await world.submit(echo, 30_000, { expiresInMs: 1_000 });
  await world.submit(echo, 5);
  await world.clock.advance(500);
  world.run(expireLoop(world.context));
  await world.clock.advance(400);
  expect([world.memory.size, world.store.calls.expire]).toEqual([30_005, 0]);

  await world.clock.advance(10_000);

  expect(world.memory.size).toBe(5);
  expect(world.context.order.size).toBe(5);
  expect(world.store.calls.expire).toBe(6);
  expect(world.hints.flatMap((hint) => hint.split(","))).toHaveLength(30_000);
  // What is still to be acked: the blocks of the five.
  expect(world.memory.openDeliveries(2)).toHaveLength(5);
  expect([...world.store.rows.values()].filter(({ isFinal }) => isFinal)).toHaveLength(30_000);
});

test("what expires together ends at once, also what comes before the page that was first to have some", async () => {
  const world = await startExpiring();
  await world.submit(echo, 50_000, { expiresInMs: 3_500 });
  world.run(expireLoop(world.context));
  // By then it has looked at the empty priorities and at the first pages.
  await world.clock.advance(5_000);
  expect([world.store.calls.expire > 0, world.memory.size]).toEqual([true, 0]);
});

test("a trickle of tasks that expire is looked at once in a while, however short a page takes", async () => {
  const world = await startExpiring();
  const { lanes } = world.store;
  const read = lanes.expired.bind(lanes);
  let pages = 0;
  lanes.expired = async (...page) => {
    pages++;
    await world.clock.sleep(5);
    return await read(...page);
  };
  await world.submit(echo, 100);
  for (let n = 0; n < 1_000; n++) await world.submit(echo, 1, { expiresInMs: 1_000 + n * 10 });
  world.run(expireLoop(world.context));
  await world.clock.advance(20_000);
  expect(world.memory.size).toBe(100);
  // One of each second finds some, if it is not of an empty priority.
  expect(pages).toBeLessThan(60);
});

test("what somebody is at work on is left alone", async () => {
  const world = await startExpiring();
  await world.submit(echo, 3, { expiresInMs: 1_000 });
  await world.clock.advance(10);
  const task = world.memory.activate(1, { origin: { ...echo, lane: 1, priority: 2, enqueuedAt: 0 }, flowKey: "f" });
  task.state = "dispatched";
  world.context.suspects.set(2, { attempt: 1, witnesses: new Set(), end: undefined });
  world.run(expireLoop(world.context));

  await world.clock.advance(10_000);

  expect([1, 2, 3].filter((seq) => world.store.rows.get(seq)?.isFinal)).toEqual([3]);
  expect(world.memory.active(1)?.state).toBe("dispatched");
  expect(world.memory.active(2)).toBeUndefined();
});

test("a row whose guard does not hold waits for its turn again", async () => {
  const world = await startExpiring();
  await world.submit(echo, 2, { expiresInMs: 1_000 });
  await world.clock.advance(10);
  const row = world.store.rows.get(1);
  if (row) row.isRunning = true;
  world.run(expireLoop(world.context));
  await world.clock.advance(5_000);

  expect(world.settleNext()?.seq).toBe(1);
  expect(world.settleNext()).toBeUndefined();
});

test("while the outcome is not known, nobody acts on the rows; they end once the store answers", async () => {
  const world = await startExpiring();
  await world.submit(echo, 2, { expiresInMs: 1_000 });
  world.store.failing.add("expire");
  world.run(expireLoop(world.context));
  await world.clock.advance(10_000);
  expect(world.settleNext()).toBeUndefined();
  expect(world.memory.size).toBe(2);

  world.store.failing.delete("expire");
  await world.clock.advance(10_000);

  expect(world.memory.size).toBe(0);
});

test("what an earlier owner may have dispatched ends once every agent has answered, what came since at once", async () => {
  const world = await startExpiring({ unanswered: ["a1"] });
  await world.submit(echo, 3, { expiresInMs: 1_000 });
  Object.assign(world.store.rows.get(1) ?? {}, { stamp: owner.epoch - 1 });
  Object.assign(world.store.rows.get(2) ?? {}, { stamp: owner.epoch - 1, dueAt: 1e12 });
  const ended = () => [1, 2, 3].filter((seq) => world.store.rows.get(seq)?.isFinal);
  world.run(expireLoop(world.context));
  await world.clock.advance(10_000);
  expect(ended()).toEqual([2, 3]);

  world.context.unanswered.clear();
  await world.clock.advance(10_000);

  expect(ended()).toEqual([1, 2, 3]);
});

test("parked rows end although they are not in memory, and leave nothing there", async () => {
  const world = await startExpiring();
  const [row] = world.store.insert(echo, 1, { expiresInMs: 1_000 });
  Object.assign(world.store.rows.get(row?.seq ?? 0) ?? {}, { dueAt: 1e12 });
  world.run(expireLoop(world.context));

  await world.clock.advance(5_000);

  expect(world.store.rows.get(1)?.isFinal).toBe(true);
  expect(world.memory.size).toBe(0);
});
