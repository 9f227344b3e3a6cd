import { laneCount, type Prefix, type Seq } from "@sluice/core";
import fc from "fast-check";
import { expect } from "vitest";
import type { Consumer, Delivery } from "../index.ts";
import { aBlock, never, partition, type QueueUnderTest, seqsOf } from "./world.ts";

/** Random histories of publishing, pulling, acking, waiting and taking over end with all that was not acked. */
export async function neverLoses(open: () => Promise<QueueUnderTest>, histories: number): Promise<void> {
  const prefix = fc.constantFrom("", "0", "1", "00", "01", "110");
  const step = fc.oneof(
    fc.record({
      do: fc.constant("publish" as const),
      lane: fc.nat(laneCount - 1),
      count: fc.integer({ min: 1, max: 5 }),
    }),
    fc.record({ do: fc.constant("pull" as const), which: fc.nat(9), max: fc.integer({ min: 1, max: 4 }) }),
    fc.record({ do: fc.constant("ack" as const), which: fc.nat(9) }),
    fc.record({ do: fc.constant("renew" as const), which: fc.nat(9) }),
    fc.record({ do: fc.constant("take over" as const), prefix }),
    { weight: 1, arbitrary: fc.record({ do: fc.constant("lapse" as const) }) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      await using world = await open();
      const unacked = new Set<Seq>();
      let consumers: { readonly prefix: Prefix; readonly consumer: Consumer }[] = [];
      const held: { readonly consumer: Consumer; readonly deliveries: Delivery[] }[] = [];
      let lastSeq = 0;
      let lastEpoch = 0;
      for (const action of steps) {
        switch (action.do) {
          case "publish": {
            const seqs = Array.from({ length: action.count }, () => ++lastSeq);
            for (const seq of seqs) unacked.add(seq);
            await world.queue.publish([aBlock({ lane: action.lane, seqs })]);
            break;
          }
          case "take over": {
            const consumer = await world.queue.open(partition(action.prefix, ++lastEpoch));
            const isReplaced = (other: Prefix) => other.startsWith(action.prefix) || action.prefix.startsWith(other);
            consumers = consumers.filter((other) => !isReplaced(other.prefix));
            consumers.push({ prefix: action.prefix, consumer });
            break;
          }
          case "pull": {
            const consumer = consumers[action.which % consumers.length]?.consumer;
            if (consumer === undefined || (await consumer.caughtUpTo()) === Number.POSITIVE_INFINITY) break;
            held.push({ consumer, deliveries: await consumer.pull(action.max, never()) });
            break;
          }
          case "ack": {
            const batch = held[action.which % held.length];
            if (batch === undefined) break;
            await batch.consumer.ack(batch.deliveries);
            // The ack of a consumer that was replaced may or may not count, so it proves nothing.
            const counts = consumers.some(({ consumer }) => consumer === batch.consumer);
            if (counts) for (const seq of seqsOf(batch.deliveries)) unacked.delete(seq);
            break;
          }
          case "renew": {
            const batch = held[action.which % held.length];
            await batch?.consumer.renew(batch.deliveries);
            break;
          }
          case "lapse":
            await world.pass(world.ackWaitMs * 1.1);
            break;
        }
      }
      const last = await world.queue.open(partition("", ++lastEpoch));
      const delivered = new Set<Seq>();
      while ((await last.caughtUpTo()) !== Number.POSITIVE_INFINITY) {
        for (const seq of seqsOf(await last.pull(8, never()))) delivered.add(seq);
      }
      expect([...unacked].filter((seq) => !delivered.has(seq))).toEqual([]);
    }),
    { numRuns: histories, seed: 7 },
  );
}
