// The model misbehaves as nats-server was measured to (`packages/queue/README.md`, "On NATS").
import type { Priority } from "@sluice/core";
import { aFlow, FakeClock } from "@sluice/core/testing";
import type { Block, Consumer } from "@sluice/queue";
import { expect, test } from "vitest";
import { JetStreamModel } from "./queue.ts";

const share = { queue: "q0", prefix: "", epoch: 1, priority: 2 as Priority } as const;
const forever = new AbortController().signal;

function blocks(...seqs: number[]): Block[] {
  return seqs.map((seq) => ({ ...aFlow(), queue: "q0", lane: 0, priority: 2, seqs: [seq], enqueuedAt: 0 }));
}

async function pullSeqs(consumer: Consumer, max: number): Promise<number[]> {
  return (await consumer.pull(max, forever)).flatMap(({ block }) => block.seqs);
}

function setUp() {
  const clock = new FakeClock();
  return { clock, queue: new JetStreamModel({ clock }) };
}

test("acks that a crash undid are ghosts: delivered again only once the consumer is created anew", async () => {
  const { clock, queue } = setUp();
  const consumer = await queue.open(share);
  await queue.publish(blocks(1, 2));
  await consumer.ack(await consumer.pull(1, forever));
  await clock.advance(50);

  expect(queue.undoAcks(100)).toBe(1);
  expect([queue.size, (await consumer.caughtUpTo()) < Number.POSITIVE_INFINITY]).toEqual([2, true]);
  expect(await pullSeqs(consumer, 10)).toEqual([2]);
  expect(await consumer.caughtUpTo()).toBe(Number.POSITIVE_INFINITY);

  queue.recreateConsumers(() => 10);
  await clock.advance(10);
  expect(await pullSeqs(consumer, 10)).toEqual([1, 2]);
});

test("acks that are on disk stay", async () => {
  const { clock, queue } = setUp();
  const consumer = await queue.open(share);
  await queue.publish(blocks(1));
  await consumer.ack(await consumer.pull(1, forever));
  await clock.advance(3_000);
  expect(queue.undoAcks(2_000)).toBe(0);
});

test("after a lost tail nothing is delivered until the consumer is created anew, and it says that nothing is pending", async () => {
  const { clock, queue } = setUp();
  const consumer = await queue.open(share);
  await queue.publish(blocks(1, 2, 3));
  await consumer.ack(await consumer.pull(3, forever));
  queue.loseTail(3);
  expect(queue.isAhead(consumer)).toBe(true);

  await queue.publish(blocks(11, 12));
  expect(await consumer.caughtUpTo()).toBe(Number.POSITIVE_INFINITY);
  const pulled = pullSeqs(consumer, 10);
  queue.recreateConsumers(() => 5_000);
  await clock.advance(5_000);
  expect(await pulled).toEqual([11, 12]);
});

test("an old holder's ack takes away what lies at its position by now", async () => {
  const { queue } = setUp();
  const consumer = await queue.open(share);
  await queue.publish(blocks(1));
  const held = await consumer.pull(1, forever);
  queue.loseTail(1);
  await queue.publish(blocks(2));
  await consumer.ack(held);
  expect(queue.size).toBe(0);
});

test("a deleted stream takes everything with it, and goes on empty", async () => {
  const { clock, queue } = setUp();
  const consumer = await queue.open(share);
  await queue.publish(blocks(1, 2));
  const held = await consumer.pull(1, forever);
  queue.deleteStream();
  await expect(consumer.caughtUpTo()).rejects.toMatchObject({ reason: "QUEUE_UNAVAILABLE" });
  queue.recreateConsumers(() => 100);
  await queue.publish(blocks(3));
  await clock.advance(100);
  await consumer.ack(held);
  expect(await pullSeqs(consumer, 10)).toEqual([3]);
});

test("an owner that was replaced while its stream was gone does not come back", async () => {
  const { clock, queue } = setUp();
  const old = await queue.open(share);
  queue.deleteStream();
  const successor = await queue.open({ ...share, epoch: 2 });
  queue.recreateConsumers((consumer) => (consumer === old ? 10 : 20));
  await clock.advance(20);
  await expect(old.pull(1, forever)).rejects.toMatchObject({ reason: "STALE_EPOCH" });
  await queue.publish(blocks(1));
  expect(await pullSeqs(successor, 1)).toEqual([1]);
});

test("a consumer that stalls delivers nothing until that is over", async () => {
  const { clock, queue } = setUp();
  const consumer = await queue.open(share);
  const resume = consumer.stall();
  let isPulled = false;
  const pulled = pullSeqs(consumer, 1).finally(() => {
    isPulled = true;
  });
  await queue.publish(blocks(1));
  await clock.advance(60_000);
  expect(isPulled).toBe(false);
  resume();
  expect(await pulled).toEqual([1]);
});
