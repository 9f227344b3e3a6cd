import type { Flow } from "@sluice/core";
import { aFlow } from "@sluice/core/testing";
import type { Consumer } from "@sluice/queue";
import { expect, test } from "vitest";
import { backlogOf } from "../backlog.ts";
import { overflowLoop } from "../overflow.ts";
import { pullLoop } from "../pull.ts";
import { rowsWorld } from "../rows.fixture.ts";

const noisy = aFlow({ account: "noisy" });
const quiet = aFlow({ account: "quiet" });
const loud = aFlow({ account: "loud" });
/** About 1,900 tasks that were submitted one by one. */
const small = { bytesMax: 2_500_000 };

test("what is parked counts as waiting, until it has ended", async () => {
  const world = await rowsWorld(small);
  world.run(pullLoop(world.context, world.context.consumers[2] as Consumer, 2));
  world.run(overflowLoop(world.context));
  await world.submit(quiet, 1);
  for (let round = 0; round < 10; round++) {
    await world.submit(noisy, 1_000, { together: 1 });
    await world.clock.advance(100);
  }
  await world.clock.advance(300);
  const { waiting, parked } = backlogOf(world.context);
  expect(waiting).toBe(10_001);
  expect(parked).toBe(world.store.parkedRows().length);

  for (let settled = 0; settled < 10_001; await world.clock.advance(300)) {
    for (let count = 0; count < 100 && world.settleNext(); count++) settled++;
  }
  expect(backlogOf(world.context)).toMatchObject({ waiting: 0, parked: 0 });
});

test("what an earlier owner has parked is counted after the take-over, and again for what ends without a word", async () => {
  const rows = await rowsWorld(small);
  const park = (flow: Flow, count: number) => {
    for (const { seq } of rows.store.insert(flow, count))
      Object.assign(rows.store.rows.get(seq) ?? {}, { dueAt: 1e15 });
  };
  park(noisy, 9_000);
  park(loud, 600);
  // They stay where they are, as those of a flow that has enough in memory.
  rows.store.failing.add("unparkOverflow");
  rows.run(overflowLoop(rows.context));
  await rows.clock.advance(100);
  expect(backlogOf(rows.context)).toMatchObject({ waiting: 9_600, parked: 9_600 });

  for (const row of rows.store.parkedRows().slice(1_000, 5_000))
    Object.assign(row, { isFinal: true, dueAt: undefined });
  await rows.clock.advance(31_000);
  expect(backlogOf(rows.context).parked).toBe(5_600);
});

test("counting takes little of the store's time: the longer it takes, or if it fails, the more seldom", async () => {
  const rows = await rowsWorld(small);
  for (const { seq } of rows.store.insert(noisy, 10)) Object.assign(rows.store.rows.get(seq) ?? {}, { dueAt: 1e15 });
  rows.store.failing.add("unparkOverflow").add("count");
  rows.store.counting.ms = 1_000;
  rows.run(overflowLoop(rows.context));
  const counts = () => rows.store.calls.overflowFlows.filter((countMax) => countMax > 1).length;
  await rows.clock.advance(60_000);
  expect([counts(), rows.context.overflown.size]).toEqual([1, 1]);

  rows.store.failing.delete("count");
  await rows.clock.advance(300_000);
  expect([counts(), backlogOf(rows.context).parked]).toEqual([2, 10]);
  await rows.clock.advance(150_000);
  expect(counts()).toBe(2);
  await rows.clock.advance(100_000);
  expect(counts()).toBe(3);
});
