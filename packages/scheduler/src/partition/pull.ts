// Loop, one per priority: blocks from the queue into memory, far ahead of what can be dispatched, so that a flow with a
// million waiting tasks hides nobody behind it. Stops while its share of the scheduler's look-ahead is full.
import { AppError, covers, flowKey, type Loop, type OwnedPartition, type Priority, priorities } from "@sluice/core";
import type { Block, Consumer } from "@sluice/queue";
import { type PartitionContext, putInOrder } from "./context.ts";
import type { Load } from "./look-ahead.ts";

const pullMax = 64;
const retryMs = 500;

export function pullLoop(context: PartitionContext, consumer: Consumer, priority: Priority): Loop {
  const load = context.memory.loads[priority] as Load;
  return async (signal) => {
    while (!signal.aborted) {
      const room = context.draining ? 0 : context.lookAhead.roomFor(load);
      if (room === 0) {
        await context.wakePull[priority].wait(signal, retryMs);
        continue;
      }
      try {
        const deliveries = await consumer.pull(Math.min(room, pullMax), signal);
        if (signal.aborted) return;
        for (const delivery of deliveries) {
          if (!isOurs(delivery.block, context.owner, priority)) continue;
          context.sights.see(flowKey(delivery.block));
          const waiting = context.memory.enter(delivery);
          if (waiting) putInOrder(context, waiting);
        }
        context.metrics.pulled.inc(deliveries.length);
        if (deliveries.length > 0) context.wakeDispatch.notify();
        if (context.lookAhead.isTight(load)) context.wakeOverflow.notify();
      } catch (cause) {
        if (cause instanceof AppError && cause.reason === "STALE_EPOCH") {
          context.stepDown("a consumer of a higher epoch exists");
          return;
        }
        if (signal.aborted) return;
        context.log.warn("cannot pull", { cause: String(cause) });
        await context.clock.sleep(retryMs, signal);
      }
    }
  };
}

/**
 * Whether a block is one of this partition and priority. A queue that lost the end of its stream gives the same positions to
 * other blocks, and delivers those again to whoever held the old ones. They are neither taken nor acked: an ack would take
 * them from their owner.
 */
export function isOurs(block: Block, { queue, prefix }: OwnedPartition, priority: Priority): boolean {
  return block.queue === queue && block.priority === priority && covers(prefix, block.lane);
}

/** Loop: keeps what is in memory invisible to everybody else. */
export function renewLoop(context: PartitionContext): Loop {
  return async (signal) => {
    while (!signal.aborted) {
      await context.clock.sleep(context.config.renewEveryMs, signal);
      if (signal.aborted) return;
      try {
        await Promise.all(
          priorities.map((priority) => context.consumers[priority]?.renew(context.memory.openDeliveries(priority))),
        );
      } catch (cause) {
        // The blocks come again and join what is in memory.
        context.log.warn("cannot renew", { cause: String(cause) });
      }
    }
  };
}

/** Acks the blocks whose numbers are all finished. An ack that is lost costs a repeat, which is forgotten again. */
export function ackFinished(context: PartitionContext): void {
  const finished = context.memory.takeAckable();
  if (finished.length === 0) return;
  for (const priority of priorities) {
    const deliveries = finished.filter(({ block }) => block.priority === priority);
    if (deliveries.length === 0) continue;
    context.wakePull[priority].notify();
    context.consumers[priority]?.ack(deliveries).catch((cause: unknown) => {
      context.log.debug("cannot ack", { cause: String(cause) });
    });
  }
}
