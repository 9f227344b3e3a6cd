import { laneCount } from "@sluice/core";
import { expect, test } from "vitest";
import { aBlock, never, partition, pullAll, type QueueUnderTest, seqsOf, whileTimePasses } from "./world.ts";

export function describeTakeOver(open: () => Promise<QueueUnderTest>): void {
  test("a consumer of a higher epoch gets at once, in order, all that the old one had not acked", async () => {
    await using world = await open();
    await world.queue.publish([1, 2, 3, 4, 5, 6].map((seq) => aBlock({ lane: seq, seqs: [seq] })));
    const old = await world.queue.open(partition("", 7));
    const held = await pullAll(old, 4);
    await old.ack(held.slice(1, 2));

    const successor = await world.queue.open(partition("", 8));

    expect(successor.epoch).toBe(8);
    expect(seqsOf(await pullAll(successor, 5))).toEqual([1, 3, 4, 5, 6]);
  });

  test("the pulls of a consumer that was replaced are refused, waiting ones too; its acks harm nobody", async () => {
    await using world = await open();
    const old = await world.queue.open(partition("0", 7));
    await world.queue.publish([aBlock({ seqs: [1] })]);
    const held = await pullAll(old, 1);
    const waiting = old.pull(1, never());
    const refusals = expect(waiting).rejects.toMatchObject({ reason: "STALE_EPOCH" });

    const successor = await world.queue.open(partition("", 8));

    await refusals;
    await expect(old.pull(1, never())).rejects.toMatchObject({ reason: "STALE_EPOCH" });
    const taken = await pullAll(successor, 1);
    await old.renew(held);
    await old.ack(held);
    await world.queue.publish([aBlock({ seqs: [2] })]);
    await successor.ack(taken);
    expect(seqsOf(await whileTimePasses(world, pullAll(successor, 1)))).toEqual([2]);
  });

  test("no consumer opens below the epoch of one that shares a lane with it", async () => {
    await using world = await open();
    await using _holder = await world.queue.open(partition("01", 9));
    for (const prefix of ["", "0", "01", "010", "01011"]) {
      await expect(world.queue.open(partition(prefix, 8))).rejects.toMatchObject({
        code: "stale",
        reason: "STALE_EPOCH",
      });
    }
    await using _sibling = await world.queue.open(partition("00", 3));
    await using _priority = await world.queue.open({ ...partition("01", 3), priority: 1 });
    await using _queue = await world.queue.open({ ...partition("01", 3), queue: "q1" });
  });

  test("a partition is opened again under the same epoch with nothing lost", async () => {
    await using world = await open();
    await world.queue.publish([aBlock({ seqs: [1] }), aBlock({ seqs: [2] })]);
    const consumer = await world.queue.open(partition("", 7));
    await pullAll(consumer, 1);

    const again = await world.queue.open(partition("", 7));

    expect(seqsOf(await whileTimePasses(world, pullAll(again, 2))).toSorted()).toEqual([1, 2]);
  });

  test("what a closed consumer had not acked is there for the next", async () => {
    await using world = await open();
    await world.queue.publish([aBlock({ seqs: [1] })]);
    const consumer = await world.queue.open(partition("", 7));
    await pullAll(consumer, 1);
    await consumer[Symbol.asyncDispose]();
    expect(seqsOf(await pullAll(await world.queue.open(partition("", 8)), 1))).toEqual([1]);
  });

  test("after a split the two halves share the whole backlog, delivered blocks included", async () => {
    await using world = await open();
    const lanes = Array.from({ length: laneCount }, (_, lane) => lane);
    await world.queue.publish(lanes.map((lane) => aBlock({ lane, seqs: [lane] })));
    await pullAll(await world.queue.open(partition("", 1)), 20);

    const low = await world.queue.open(partition("0", 2));
    const high = await world.queue.open(partition("1", 3));

    expect(seqsOf(await pullAll(low, 16))).toEqual(lanes.slice(0, 16));
    expect(seqsOf(await pullAll(high, 16))).toEqual(lanes.slice(16));
  });

  test("after a merge the whole sees the backlog of both halves", async () => {
    await using world = await open();
    const lanes = Array.from({ length: laneCount }, (_, lane) => lane);
    await world.queue.publish(lanes.map((lane) => aBlock({ lane, seqs: [lane] })));
    const low = await world.queue.open(partition("0", 2));
    await pullAll(low, 5);
    await pullAll(await world.queue.open(partition("1", 3)), 7);

    const whole = await world.queue.open(partition("", 4));

    expect(seqsOf(await pullAll(whole, laneCount))).toEqual(lanes);
    await expect(low.pull(1, never())).rejects.toMatchObject({ reason: "STALE_EPOCH" });
  });
}
