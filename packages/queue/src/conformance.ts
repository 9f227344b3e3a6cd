// What every queue must do, as tests; each driver's own test calls `describeQueue`. They wait for facts, since a real queue
// takes its own time, and prove that a block is hidden by seeing a later one first.
import { type Lane, laneCount, type Prefix, type Priority, type Seq } from "@sluice/core";
import { aFlow } from "@sluice/core/testing";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Block, blockSizeMax, type Consumer, type Delivery, type Signals, type TaskQueue } from "./index.ts";

/** An empty queue, as the suite needs it. */
export interface QueueUnderTest extends AsyncDisposable {
  readonly queue: TaskQueue;
  readonly signals: Signals;
  /** Long enough that a quarter of it passes between a delivery and the next statement of a test only when it must. */
  readonly ackWaitMs: number;
  /** Lets so much of the queue's time pass: moves its clock, or waits. */
  pass(ms: number): Promise<void>;
}

export interface QueueSuiteOptions {
  /** Random histories to try; default 50. Fewer where time is real. */
  readonly histories?: number;
}

export function describeQueue(
  name: string,
  open: () => Promise<QueueUnderTest>,
  { histories = 50 }: QueueSuiteOptions = {},
): void {
  describe(`the queue ${name}`, () => {
    describeDelivery(open);
    describeTakeOver(open);
    test("delivers every number to somebody until it is acked", () => neverLoses(open, histories));
  });
  describe(`the signals ${name}`, () => describeSignals(open));
}

function describeDelivery(open: () => Promise<QueueUnderTest>): void {
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

function describeTakeOver(open: () => Promise<QueueUnderTest>): void {
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

/** Random histories of publishing, pulling, acking, waiting and taking over end with exactly what was not acked. */
async function neverLoses(open: () => Promise<QueueUnderTest>, histories: number): Promise<void> {
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

function describeSignals(open: () => Promise<QueueUnderTest>): void {
  test("a hint reaches everybody who listens to its topic, and nobody else", async () => {
    await using world = await open();
    const heard: string[] = [];
    world.signals.listen("marked.q0", (payload) => heard.push(`a ${payload}`));
    world.signals.listen("marked.q0", (payload) => heard.push(`b ${payload}`));
    world.signals.listen("marked.q1", (payload) => heard.push(`c ${payload}`));
    world.signals.listen("marked", (payload) => heard.push(`d ${payload}`));

    await until(world, () => {
      world.signals.send("marked.q0", "17,18");
      return new Set(heard).size >= 2;
    });

    expect([...new Set(heard)].toSorted()).toEqual(["a 17,18", "b 17,18"]);
  });

  test("a hint never arrives while it is being sent", async () => {
    await using world = await open();
    let isSending = false;
    const heard: boolean[] = [];
    world.signals.listen("changed", () => heard.push(isSending));

    await until(world, () => {
      isSending = true;
      world.signals.send("changed", "1");
      isSending = false;
      return heard.length > 0;
    });

    expect(heard).not.toContain(true);
  });

  test("who stops listening hears nothing more; a hint that nobody hears is no error", async () => {
    await using world = await open();
    const heard: string[] = [];
    const stop = world.signals.listen("function", () => heard.push("stopped"));
    world.signals.listen("function", () => heard.push("still there"));
    stop();
    stop();
    world.signals.send("nobody", "listens");

    await until(world, () => {
      world.signals.send("function", "main/echo");
      return heard.length > 0;
    });

    expect(heard).not.toContain("stopped");
  });
}

function aBlock(parts: { queue?: string; lane?: Lane; priority?: Priority; seqs?: readonly Seq[] } = {}): Block {
  return { ...aFlow(), queue: "q0", lane: 0, priority: 2, seqs: [1], enqueuedAt: Date.UTC(2026, 0, 1), ...parts };
}

function partition(prefix: Prefix = "", epoch = 1) {
  return { queue: "q0", prefix, epoch, priority: 2 } as const;
}

/** A signal that does not abort: the time-out of the test is the bound. */
function never(): AbortSignal {
  return new AbortController().signal;
}

function seqsOf(deliveries: readonly Delivery[]): Seq[] {
  return deliveries.flatMap(({ block }) => block.seqs);
}

async function pullAll(consumer: Consumer, count: number): Promise<Delivery[]> {
  const deliveries: Delivery[] = [];
  while (deliveries.length < count) {
    deliveries.push(...(await consumer.pull(count - deliveries.length, never())));
  }
  return deliveries;
}

/** Waits for something that may need the invisibility of a block to end. */
async function whileTimePasses<T>(world: QueueUnderTest, work: Promise<T>): Promise<T> {
  let isSettled = false;
  const settled = work.finally(() => {
    isSettled = true;
  });
  settled.catch(() => {});
  await until(world, () => isSettled, world.ackWaitMs / 4);
  return settled;
}

async function until(world: QueueUnderTest, holds: () => boolean, everyMs = 10): Promise<void> {
  for (let looks = 0; looks < 500; looks++) {
    if (holds()) return;
    await world.pass(everyMs);
  }
  throw new Error(`did not hold after ${500 * everyMs} ms: ${holds}`);
}
