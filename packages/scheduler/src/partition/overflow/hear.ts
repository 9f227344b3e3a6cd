// Hears what is published while memory is nearly full: who else is there is seen although it has not been delivered yet, and a
// little of it is taken in at once.
import { covers, flowKey } from "@sluice/core";
import type { Block } from "@sluice/queue";
import { type PartitionContext, putInOrder } from "../context.ts";

/** Between the clock of the queue, whose are the times of its blocks, and this one. */
const clocksDifferMs = 2_000;
/** Blocks that are taken in before their delivery are of flows that have at most so many numbers in memory. */
const earlyMax = 1_000;
const settleEveryMs = 250;

export interface Hearing extends Disposable {
  readonly isOn: boolean;
  /** From now on nobody is overlooked; who was before is seen once everything of before is delivered. */
  start(): void;
  /**
   * Learns from the queue what has been delivered: who is in doubt, or whether nobody need listen any more while memory is
   * calm. Rejects with what the queue says.
   */
  settle(isCalm: boolean): Promise<void>;
}

export function createHearing(context: PartitionContext): Hearing {
  const { clock, order, owner, lookAhead, sights, queue } = context;
  let stop: (() => void) | undefined;
  let since = 0;
  let settleAt = 0;

  function hear(block: Block): void {
    if (!covers(owner.prefix, block.lane) || block.queue !== owner.queue || context.draining) return;
    const wasAlone = sights.isAlone;
    sights.see(flowKey(block));
    if (wasAlone && !sights.isAlone) context.wakeOverflow.notify();
    if (order.sizeOf(block) >= earlyMax || !lookAhead.hasReserve()) return;
    enterEarly(context, block);
    context.wakeDispatch.notify();
  }

  async function caughtUpTo(): Promise<number> {
    return Math.min(...(await Promise.all(context.consumers.map((consumer) => consumer.caughtUpTo()))));
  }

  return {
    get isOn() {
      return stop !== undefined;
    },
    start() {
      if (stop !== undefined) return;
      since = clock.now() + clocksDifferMs;
      stop = queue.hear?.(owner, hear);
    },
    async settle(isCalm) {
      if (stop === undefined || clock.monotonic() < settleAt) return;
      settleAt = clock.monotonic() + settleEveryMs;
      if (!isCalm) {
        if (sights.isInDoubt && (await caughtUpTo()) > since) sights.clear();
        return;
      }
      if ((await caughtUpTo()) < Number.POSITIVE_INFINITY) return;
      stop?.();
      stop = undefined;
      sights.doubt();
    },
    [Symbol.dispose]() {
      stop?.();
    },
  };
}

/** Takes a block in that has not been delivered. */
export function enterEarly(context: PartitionContext, block: Block): void {
  const waiting = context.memory.enterEarly(block);
  if (waiting) putInOrder(context, waiting);
}
