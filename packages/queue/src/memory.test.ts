import { aFlow, FakeClock } from "@sluice/core/testing";
import { expect, test } from "vitest";
import { describeQueue } from "./conformance.ts";
import { type Block, blockSizeMax } from "./index.ts";
import { createMemoryQueue, createMemorySignals } from "./memory.ts";

describeQueue("in memory", async () => {
  const clock = new FakeClock();
  const queue = createMemoryQueue({ clock });
  const signals = createMemorySignals();
  return {
    queue,
    signals,
    ackWaitMs: 30_000,
    pass: (ms) => clock.advance(ms),
    async [Symbol.asyncDispose]() {
      await queue[Symbol.asyncDispose]();
      await signals[Symbol.asyncDispose]();
    },
  };
});

const owned = { queue: "q0", prefix: "", epoch: 1, priority: 2 } as const;
const forever = new AbortController().signal;

function aBlock(parts: Partial<Block> = {}): Block {
  return { ...aFlow(), queue: "q0", lane: 0, priority: 2, seqs: [1], enqueuedAt: 0, ...parts };
}

// The bound is generous: on two idle cores it takes a fiftieth of it.
test("a million numbers pass through in blocks of 256", { timeout: 5_000 }, async () => {
  await using queue = createMemoryQueue({ clock: new FakeClock() });
  const consumer = await queue.open(owned);
  const blocks = Math.ceil(1_000_000 / blockSizeMax);
  for (let block = 0; block < blocks; block++) {
    const seqs = Array.from({ length: blockSizeMax }, (_, index) => block * blockSizeMax + index);
    await queue.publish([aBlock({ lane: block % 32, seqs })]);
  }
  let pulled = 0;
  while (pulled < blocks) {
    const deliveries = await consumer.pull(64, forever);
    pulled += deliveries.length;
    await consumer.renew(deliveries);
    await consumer.ack(deliveries);
  }
  expect([pulled, await consumer.caughtUpTo()]).toEqual([blocks, Number.POSITIVE_INFINITY]);
});

test("who hears a partition is told of its blocks when they are published, and takes nothing", async () => {
  await using queue = createMemoryQueue({ clock: new FakeClock() });
  const heard: Block[] = [];
  const stop = queue.hear?.({ queue: "q0", prefix: "0" }, (block) => heard.push(block));
  await queue.publish([aBlock({ seqs: [1] }), aBlock({ seqs: [2], lane: 31 }), aBlock({ seqs: [3], queue: "q1" })]);
  stop?.();
  await queue.publish([aBlock({ seqs: [4] })]);

  expect(heard).toEqual([aBlock({ seqs: [1] })]);
  const consumer = await queue.open(owned);
  expect(await consumer.pull(9, forever)).toHaveLength(3);
});

test("it runs a timer only while a pull waits for a block in other hands", async () => {
  const clock = new FakeClock();
  await using queue = createMemoryQueue({ clock, ackWaitMs: 100 });
  const consumer = await queue.open(owned);
  await queue.publish([aBlock()]);
  const held = await consumer.pull(1, forever);
  expect(clock.pendingTimers).toBe(0);

  const controller = new AbortController();
  const pulled = consumer.pull(1, controller.signal);
  await clock.advance(60);
  await consumer.renew(held);
  await clock.advance(60);
  expect(clock.pendingTimers).toBe(1);

  controller.abort();
  expect(await pulled).toEqual([]);
  expect(clock.pendingTimers).toBe(0);
});

test("a renewal that comes too late does not hide a block; one by an old holder hides it in newer hands", async () => {
  const clock = new FakeClock();
  await using queue = createMemoryQueue({ clock, ackWaitMs: 100 });
  const consumer = await queue.open(owned);
  await queue.publish([aBlock()]);
  const first = await consumer.pull(1, forever);
  await clock.advance(100);
  await consumer.renew(first);
  const second = await consumer.pull(1, forever);
  expect(second[0]?.deliveryCount).toBe(2);

  await clock.advance(60);
  await consumer.renew(first);
  await clock.advance(60);
  await queue.publish([aBlock({ seqs: [2] })]);
  expect((await consumer.pull(2, forever)).map(({ block }) => block.seqs)).toEqual([[2]]);
});

test("acks of a consumer that was replaced do nothing", async () => {
  await using queue = createMemoryQueue({ clock: new FakeClock() });
  const old = await queue.open(owned);
  await queue.publish([aBlock()]);
  const held = await old.pull(1, forever);
  const successor = await queue.open({ ...owned, epoch: 2 });
  await old.ack(held);
  expect(await successor.pull(1, forever)).toMatchObject([{ block: { seqs: [1] }, deliveryCount: 1 }]);
});

test("pulls that wait are served in their order", async () => {
  await using queue = createMemoryQueue({ clock: new FakeClock() });
  const consumer = await queue.open(owned);
  const pulls = [consumer.pull(2, forever), consumer.pull(1, forever)];
  await queue.publish([1, 2, 3].map((seq) => aBlock({ seqs: [seq] })));
  const seqs = (await Promise.all(pulls)).map((deliveries) => deliveries.map(({ block }) => block.seqs[0]));
  expect(seqs).toEqual([[1, 2], [3]]);
});

test("a full queue refuses blocks until some are acked", async () => {
  await using queue = createMemoryQueue({ clock: new FakeClock(), blocksMax: 2 });
  const consumer = await queue.open(owned);
  await queue.publish([aBlock(), aBlock()]);
  const deliveries = await consumer.pull(1, forever);
  await expect(queue.publish([aBlock()])).rejects.toMatchObject({ reason: "QUEUE_UNAVAILABLE" });
  await consumer.ack(deliveries);
  await consumer.ack(deliveries);
  await queue.publish([aBlock()]);
  await expect(queue.publish([aBlock()])).rejects.toMatchObject({ reason: "QUEUE_UNAVAILABLE" });
});

test("a block without numbers, with too many, or in no lane is a bug of the caller", async () => {
  await using queue = createMemoryQueue({ clock: new FakeClock() });
  for (const wrong of [{ seqs: [] }, { seqs: new Array<number>(257).fill(1) }, { lane: 32 }, { lane: -1 }]) {
    await expect(queue.publish([aBlock(), aBlock(wrong)])).rejects.toThrow();
  }
  expect(await (await queue.open(owned)).caughtUpTo()).toBe(Number.POSITIVE_INFINITY);
});

test("a closed queue ends its pulls and takes nothing more", async () => {
  const queue = createMemoryQueue({ clock: new FakeClock() });
  const pulled = (await queue.open(owned)).pull(1, forever);
  const ended = expect(pulled).rejects.toMatchObject({ reason: "QUEUE_UNAVAILABLE" });
  await queue[Symbol.asyncDispose]();
  await ended;
  await expect(queue.publish([aBlock()])).rejects.toMatchObject({ reason: "QUEUE_UNAVAILABLE" });
});
