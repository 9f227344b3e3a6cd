import { laneCount } from "@sluice/core";
import { aFlow } from "@sluice/core/testing";
import { expect, test } from "vitest";
import { type Block, blockSizeMax } from "../index.ts";
import { aBlock, never, partition, pullAll, type QueueUnderTest, seqsOf, whileTimePasses } from "./world.ts";

export function describeDelivery(open: () => Promise<QueueUnderTest>): void {
  test("delivers blocks as they were published, in this order, whatever their lanes", async () => {
    await using world = await open();
    const blocks = Array.from({ length: 40 }, (_, index) => aBlock({ lane: (index * 7) % laneCount, seqs: [index] }));
    await world.queue.publish(blocks.slice(0, 30));
    for (const block of blocks.slice(30)) await world.queue.publish([block]);

    const deliveries = await pullAll(await world.queue.open(partition()), 40);

    expect(deliveries.map((delivery) => delivery.block)).toEqual(blocks);
    expect(deliveries.every((delivery) => delivery.deliveryCount === 1)).toBe(true);
  });

  test("carries 256 numbers in a block, with all that is said of them", async () => {
    await using world = await open();
    const seqs = Array.from({ length: blockSizeMax }, (_, index) => 2 ** 52 + index);
    const block: Block = {
      ...aFlow({ account: "acme", function: "resize_image-2" }),
      queue: "q7",
      lane: 31,
      priority: 3,
      seqs,
      enqueuedAt: Date.UTC(2026, 10, 21),
    };
    await world.queue.publish([block]);

    const consumer = await world.queue.open({ ...partition("11111"), queue: "q7", priority: 3 });

    expect((await pullAll(consumer, 1))[0]?.block).toEqual(block);
  });

  test("gives a consumer only what is in its queue, its priority and its lanes", async () => {
    await using world = await open();
    const others = [aBlock({ queue: "q1" }), aBlock({ priority: 0 }), aBlock({ lane: 16 })];
    await world.queue.publish([...others, aBlock({ lane: 15, seqs: [42] })]);

    const consumer = await world.queue.open(partition("0"));

    expect(seqsOf(await pullAll(consumer, 1))).toEqual([42]);
    expect(await consumer.caughtUpTo()).toBe(Number.POSITIVE_INFINITY);
  });

  test("keeps many queues apart", async () => {
    await using world = await open();
    const names = Array.from({ length: 60 }, (_, index) => `many${index}`);
    await world.queue.publish(names.map((queue, index) => aBlock({ queue, seqs: [index] })));
    for (const [index, queue] of names.entries()) {
      await using consumer = await world.queue.open({ ...partition(), queue });
      expect(seqsOf(await pullAll(consumer, 1))).toEqual([index]);
    }
  });

  test("a pull returns at most what it asked for", async () => {
    await using world = await open();
    await world.queue.publish([1, 2, 3, 4, 5].map((seq) => aBlock({ seqs: [seq] })));
    const consumer = await world.queue.open(partition());

    const first = await consumer.pull(2, never());

    expect(first.length).toBeLessThanOrEqual(2);
    expect(seqsOf([...first, ...(await pullAll(consumer, 5 - first.length))])).toEqual([1, 2, 3, 4, 5]);
  });

  test("a pull waits for the next block", async () => {
    await using world = await open();
    const consumer = await world.queue.open(partition());
    const pulled = consumer.pull(10, never());
    await world.pass(10);
    await world.queue.publish([aBlock({ seqs: [9] })]);
    expect(seqsOf(await pulled)).toEqual([9]);
  });

  test("a pull that is aborted returns nothing, and nothing is lost with it", async () => {
    await using world = await open();
    const consumer = await world.queue.open(partition());
    const controller = new AbortController();
    const pulled = consumer.pull(10, controller.signal);
    controller.abort();
    expect(await pulled).toEqual([]);
    await world.queue.publish([aBlock({ seqs: [9] })]);

    expect(await consumer.pull(10, controller.signal)).toEqual([]);
    expect(seqsOf(await whileTimePasses(world, pullAll(consumer, 1)))).toEqual([9]);
  });

  test("a delivered block is invisible, and is delivered again, counted, when nobody renews it", async () => {
    await using world = await open();
    await world.queue.publish([aBlock({ seqs: [1] })]);
    const consumer = await world.queue.open(partition());
    await pullAll(consumer, 1);
    await world.queue.publish([aBlock({ seqs: [2] })]);

    const second = await pullAll(consumer, 1);
    await consumer.ack(second);
    const again = await whileTimePasses(world, pullAll(consumer, 1));

    expect(seqsOf(second)).toEqual([2]);
    expect(again.map(({ block, deliveryCount }) => [block.seqs, deliveryCount])).toEqual([[[1], 2]]);
  });

  test("renewal keeps a block invisible; what is due again comes before what is new", async () => {
    await using world = await open();
    await world.queue.publish([aBlock({ seqs: [1] }), aBlock({ seqs: [2] })]);
    const consumer = await world.queue.open(partition());
    const [renewed] = await pullAll(consumer, 2);
    for (let quarter = 0; quarter < 6; quarter++) {
      await world.pass(world.ackWaitMs / 4);
      await consumer.renew(renewed === undefined ? [] : [renewed]);
    }
    await world.queue.publish([aBlock({ seqs: [3] })]);

    expect(seqsOf(await pullAll(consumer, 2))).toEqual([2, 3]);
  });

  test("an acked block is never delivered again, however often and late it is acked", async () => {
    await using world = await open();
    await world.queue.publish([aBlock({ seqs: [1] }), aBlock({ seqs: [2] })]);
    const consumer = await world.queue.open(partition());
    const old = await pullAll(consumer, 2);
    const redelivered = await whileTimePasses(world, pullAll(consumer, 2));
    expect(seqsOf(redelivered).toSorted()).toEqual([1, 2]);

    await consumer.ack(old);
    await consumer.ack(old);
    await consumer.ack(redelivered);
    await consumer.renew(redelivered);
    await world.queue.publish([aBlock({ seqs: [3] })]);
    await world.pass(world.ackWaitMs * 1.5);

    expect(seqsOf(await pullAll(consumer, 1))).toEqual([3]);
  });

  test("it knows how far it has delivered", async () => {
    await using world = await open();
    const consumer = await world.queue.open(partition("0"));
    expect(await consumer.caughtUpTo()).toBe(Number.POSITIVE_INFINITY);
    await world.queue.publish([aBlock({ lane: 0 })]);
    await world.pass(20);
    await world.queue.publish([aBlock({ lane: 9 })]);

    const first = await consumer.caughtUpTo();
    await pullAll(consumer, 1);
    const second = await consumer.caughtUpTo();
    await pullAll(consumer, 1);

    expect(second).toBeGreaterThan(first);
    expect(second).toBeLessThan(Number.POSITIVE_INFINITY);
    expect(await consumer.caughtUpTo()).toBe(Number.POSITIVE_INFINITY);
  });
}
