import { FunctionName, homeOf } from "@sluice/core";
import { aFlow } from "@sluice/core/testing";
import type { DispatchAttempt } from "@sluice/protocol";
import type { PauseRecord, SettleWrite } from "@sluice/store";
import { expect, test } from "vitest";
import type { BatchControl } from "../batch-control.ts";
import { allGates, type Gate } from "./gates.ts";
import { epoch, nothingPaused, startDispatching } from "./testing.ts";

const KiB = 1024;
const bytesOf = (attempts: readonly DispatchAttempt[]) =>
  attempts.reduce((sum, { payload }) => sum + payload.byteLength, 0);

test("large payloads travel in several frames, and are read in small batches once they are known to be large", async () => {
  const { clock, reads, frames, deliver } = startDispatching();
  for (let block = 0; block < 4; block++) deliver(100, { bytes: 128 * KiB });
  await clock.advance(1);
  expect(frames.flat().map(({ seq }) => seq)).toHaveLength(400);
  expect(Math.max(...frames.map(bytesOf))).toBeLessThanOrEqual(1024 * KiB);
  expect(reads.slice(1).map(({ length }) => length)).toEqual(
    reads
      .slice(1, -1)
      .map(() => 32)
      .concat(16),
  );
});

test("a payload that is larger than a frame should be goes alone", async () => {
  const { clock, frames, deliver } = startDispatching();
  deliver(2, { bytes: 2 * 1024 * KiB });
  await clock.advance(1);
  expect(frames.map(({ length }) => length)).toEqual([1, 1]);
});

test("rows that an unheard agent may be running are held, and no more of them are read than memory can bear", async () => {
  const { clock, context, reads, frames, deliver } = startDispatching({ unanswered: ["gone"] });
  for (let block = 0; block < 60; block++) deliver(256, { stamp: epoch - 1 });
  await clock.advance(1);
  expect(reads.flat().length).toBeLessThan(11_000);
  expect(context.held.count).toBe(reads.flat().length);
  expect(frames).toEqual([]);

  const other = aFlow({ function: FunctionName("other") });
  deliver(3, { flow: other });
  await clock.advance(1);
  expect(frames.flat()).toHaveLength(3);
});

test("a row that was read before the last agent had answered is read again", async () => {
  const { clock, context, reads, frames, deliver } = startDispatching({ unanswered: ["slow"], readMs: 100 });
  deliver(1, { stamp: epoch - 1 });
  await clock.advance(50);
  context.unanswered.clear();
  await clock.advance(60);
  expect(frames).toEqual([]);
  await clock.advance(100);
  expect(reads).toEqual([[1], [1]]);
  expect(frames.flat()).toHaveLength(1);
});

test.each([
  ["whose row is gone", null],
  ["that was stopped", { stopRequested: true }],
  ["that has expired", { expiresAt: -1 }],
])("a task %s counts for no gate as one that was sent", async (_which, row) => {
  const { clock, context, deliver } = startDispatching();
  const told: string[] = [];
  const spy: Gate = {
    room: () => Number.POSITIVE_INFINITY,
    onPicked: () => void told.push("picked"),
    onReleased: () => void told.push("released"),
  };
  Object.assign(context, { gates: allGates([spy]) });
  deliver(1, { row });
  await clock.advance(1);
  expect(told).toEqual(["picked", "released"]);
  expect(context.order.size).toBe(0);
});

test("nothing more is dispatched while outcomes cannot be written as fast as they come", async () => {
  const { clock, context, frames, deliver } = startDispatching();
  const write = { kind: "settle", seq: 9_999, result: new Uint8Array(), error: undefined } as unknown as SettleWrite;
  while (!context.pending.isFull) context.pending.push({ write, confirmTo: undefined });
  deliver(3);
  await clock.advance(5_000);
  expect(frames).toEqual([]);
  context.pending.take(256);
  context.wakeDispatch.notify();
  await clock.advance(1);
  expect(frames.flat()).toHaveLength(3);
});

test("thousands of flows without room are not looked at for every attempt that ends", async () => {
  const dispatching = startDispatching({ instancesMax: 0, lookMs: 0.01 });
  const { clock, context, deliver } = dispatching;
  const flowOf = (index: number) => aFlow({ function: `f${index}` });
  for (let index = 0; index < 1_000; index++) deliver(1, { flow: flowOf(index) });
  await clock.advance(1);
  expect(dispatching.looks).toBe(1_000);

  for (let end = 0; end < 20; end++) {
    context.order.unblock(flowOf(end));
    context.wakeDispatch.notify();
    await clock.advance(1);
  }
  expect(dispatching.looks).toBe(1_020);
  await clock.advance(500);
  expect(dispatching.looks).toBe(2_020);
});

const pauseOf: BatchControl["pauseOf"] = ({ accountId }) =>
  accountId === "passed" ? ({ number: 1 } as PauseRecord) : undefined;
test.each([
  { as: "paused", options: { batchControl: { ...nothingPaused, pauseOf } }, row: {} },
  { as: "expired", options: {}, row: { expiresAt: 1 } },
  { as: "ended", options: {}, row: { endedAt: 1 } },
  { as: "gone", options: {}, row: null },
])(
  "thousands that are read only to be found $as take their share of the reads, and no more",
  async ({ options, row }) => {
    const { clock, context, frames, deliver } = startDispatching({ slots: 1_000_000, readMs: 10, ...options });
    const quiet = aFlow({ account: "quiet" });
    for (let block = 0; block < 100; block++) deliver(250, { flow: aFlow({ account: "passed" }), row });
    for (let block = 0; block < 20; block++) deliver(250, { flow: quiet });
    const writesMax = 100_000;
    await clock.runUntil(
      () => {
        for (const { write } of context.pending.take(writesMax)) context.memory.forget(write.seq);
        context.wakeDispatch.notify();
        return context.order.sizeOf(quiet) === 0;
      },
      { withinMs: 10_000 },
    );
    // No read is under way any more.
    Object.assign(context, { draining: true });
    await clock.advance(1_000);
    const passed = 25_000 - context.order.sizeOf(aFlow({ account: "passed" }));
    expect(frames.flat()).toHaveLength(5_000);
    expect(passed).toBeGreaterThan(3_000);
    expect(passed).toBeLessThan(7_000);
  },
);

const flowNamed = (name: string) => aFlow({ function: FunctionName(name) });

test("attempts of a flow go to the agents of its shard, and to more of them only when these are full", async () => {
  const { clock, context, sentTo, deliver } = startDispatching({ agents: 30, slots: 10 });
  const flow = flowNamed("busy");
  const shard = () => context.shards.of("main/busy").links.map(({ agentId }) => agentId);
  const start = shard();
  expect(start).toHaveLength(6);
  deliver(60, { flow });
  await clock.advance(1);
  expect(new Set(sentTo.values())).toEqual(new Set(start));
  expect(sentTo.size).toBe(60);

  deliver(240, { flow });
  await clock.advance(1);
  expect(sentTo.size).toBe(60);
  await clock.advance(900);
  expect(sentTo.size).toBe(300);
  expect(shard().slice(0, 6)).toEqual(start);
});

test("a flow whose agents are away with its attempts gets no others until it is known what became of them", async () => {
  const { clock, context, links, sentTo, deliver } = startDispatching({ agents: 30, slots: 10 });
  const shard = context.shards.of("main/busy").links;
  deliver(60, { flow: flowNamed("busy") });
  await clock.advance(1);
  for (const link of shard) Object.assign(link, { isOpen: false });
  deliver(60, { flow: flowNamed("busy") });
  deliver(10, { flow: flowNamed("other") });
  await clock.advance(5_000);
  expect(context.shards.of("main/busy").links).toEqual(shard);
  expect(sentTo.size).toBe(70);
  expect(links.filter(({ used }) => used > 0).length).toBeGreaterThan(shard.length);
});

test("a task that was lost with an agent keeps to where its flow began", async () => {
  const { clock, context, sentTo, deliver } = startDispatching({ agents: 30, slots: 10 });
  const first = context.shards.of("main/busy").links.map(({ agentId }) => agentId);
  context.shards.grow("main/busy", () => true);
  await clock.advance(100);
  expect(context.shards.grow("main/busy", () => true)).toBe("grown");
  deliver(20, { flow: flowNamed("busy"), lostAttempts: 1 });
  await clock.advance(1);
  expect([...sentTo.values()].filter((agentId) => !first.includes(agentId))).toEqual([]);
});

test("many flows load the agents evenly, within a fifth", async () => {
  const { clock, context, links, deliver } = startDispatching({ agents: 20, slots: 10_000 });
  for (let index = 0; index < 600; index++) deliver(5, { flow: flowNamed(`f${index}`) });
  await clock.advance(10);
  const loads = links.map(({ used }) => used);
  expect(context.dispatched).toBe(3_000);
  expect(Math.min(...loads)).toBeGreaterThan(150 * 0.8);
  expect(Math.max(...loads)).toBeLessThan(150 * 1.2);
});

test("an attempt of a limited flow says as of when its owner knew the routes, one of another flow does not", async () => {
  const isAtHome = (flow: ReturnType<typeof flowNamed>) =>
    homeOf(flow, { function: { concurrencyMax: 9, rateMax: 0 }, account: undefined, queues: ["q0"] })?.lane === 0;
  const flow = Array.from({ length: 999 }, (_, index) => flowNamed(`f${index}`)).find(isAtHome);
  for (const concurrencyMax of [9, 0]) {
    const { clock, frames, deliver } = startDispatching({ concurrencyMax });
    await clock.advance(5_000);
    deliver(1, { ...(flow && { flow }) });
    const sentAt = clock.now();
    await clock.advance(1);
    const told = frames.flat().map(({ routesKnownAtMs }) => routesKnownAtMs);
    expect(told).toEqual([concurrencyMax > 0 ? sentAt - 700 : undefined]);
  }
});
