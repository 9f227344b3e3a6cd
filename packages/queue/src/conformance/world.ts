// What the suite runs on, and how its tests wait.
import type { Lane, Prefix, Priority, Seq } from "@sluice/core";
import { aFlow } from "@sluice/core/testing";
import type { Block, Consumer, Delivery, Signals, TaskQueue } from "../index.ts";

/** An empty queue, as the suite needs it. */
export interface QueueUnderTest extends AsyncDisposable {
  readonly queue: TaskQueue;
  readonly signals: Signals;
  /** Long enough that a quarter of it passes between a delivery and the next statement of a test only when it must. */
  readonly ackWaitMs: number;
  /** Lets so much of the queue's time pass: moves its clock, or waits. */
  pass(ms: number): Promise<void>;
}

export function aBlock(parts: { queue?: string; lane?: Lane; priority?: Priority; seqs?: readonly Seq[] } = {}): Block {
  return { ...aFlow(), queue: "q0", lane: 0, priority: 2, seqs: [1], enqueuedAt: Date.UTC(2026, 0, 1), ...parts };
}

export function partition(prefix: Prefix = "", epoch = 1) {
  return { queue: "q0", prefix, epoch, priority: 2 } as const;
}

/** A signal that does not abort: the time-out of the test is the bound. */
export function never(): AbortSignal {
  return new AbortController().signal;
}

export function seqsOf(deliveries: readonly Delivery[]): Seq[] {
  return deliveries.flatMap(({ block }) => block.seqs);
}

export async function pullAll(consumer: Consumer, count: number): Promise<Delivery[]> {
  const deliveries: Delivery[] = [];
  while (deliveries.length < count) {
    deliveries.push(...(await consumer.pull(count - deliveries.length, never())));
  }
  return deliveries;
}

/** Waits for something that may need the invisibility of a block to end. */
export async function whileTimePasses<T>(world: QueueUnderTest, work: Promise<T>): Promise<T> {
  let isSettled = false;
  const settled = work.finally(() => {
    isSettled = true;
  });
  settled.catch(() => {});
  await until(world, () => isSettled, world.ackWaitMs / 4);
  return settled;
}

export async function until(world: QueueUnderTest, holds: () => boolean, everyMs = 10): Promise<void> {
  for (let looks = 0; looks < 500; looks++) {
    if (holds()) return;
    await world.pass(everyMs);
  }
  throw new Error(`did not hold after ${500 * everyMs} ms: ${holds}`);
}
