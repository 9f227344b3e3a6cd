// Loop: keeps the look-ahead open. A flow of which more waits than fits hides whoever comes behind it, so its excess is parked
// in the store: of the largest flow, the least urgent first, in bulk. It comes out again as its flow has room.
//
//                nearly full, and others may be behind ┌──▶ the largest flow's excess is parked, its blocks are acked
//   every round ─┤
//                next to nothing more urgent than a    └──▶ the most urgent parked rows of its flow enter memory,
//                parked row waits in memory                 and are announced
//
// Rows that are parked are due, too, at twice the time by which their turn should come: that is for an owner that knows nothing of
// them. This one goes by what its memory holds. One that comes due while its flow is still full is parked again, for
// twice as long; so in a day that happens ten times at most.
//
// A flow that has the partition to itself is not parked: what does not fit stays in the queue. Its owner hears then what others
// publish, and takes that in although it has not been delivered yet.
//
// A flow whose next task is less urgent than what is parked of it is passed over by `pick` (`goesBehindParked`), which wakes this
// loop: what it waits for comes before everything else here but one park of each priority.
import { flowKey, type Loop, type Priority, priorities } from "@sluice/core";
import type { Stale } from "@sluice/store";
import type { PartitionContext } from "./context.ts";
import { every } from "./every.ts";
import type { Load } from "./look-ahead.ts";
import { createHearing } from "./overflow/hear.ts";
import { enough, keep, newOverflown } from "./overflow/overflown.ts";
import { parkLatest } from "./overflow/park.ts";
import { createPublisher } from "./overflow/publish.ts";
import { refillAll } from "./overflow/refill.ts";

/** Numbers that are set aside at once. */
const takeMax = 20_000;
const everyMs = 250;
/** How often flows are looked for whose rows another owner has parked. */
const discoverEveryMs = 30_000;
const flowsMax = 1_000;
/** What is parked of a flow is counted up to here: more than an account may have by default. */
const countMax = 1_000_000;
/** Counting may take the store a two-hundredth of the time. A million rows take it about a second. */
const countShare = 1 / 200;
/** What cannot be counted is tried again so much later: it is found all the same. */
const countRetryMs = 300_000;

export function overflowLoop(context: PartitionContext): Loop {
  const { clock, memory, order, owner, lookAhead, sights, overflown } = context;
  let discoverAt = 0;
  let countAt = 0;
  let kept = keep.max;

  return async (signal) => {
    using hearing = createHearing(context);
    await using publisher = createPublisher(context);
    const stopWatching = context.queue.health?.watch((isUp) => {
      if (!isUp) sights.doubt();
    });
    const isBusy = () => discoverAt === 0 || overflown.size > 0 || hearing.isOn || isNearlyFull();
    const loop = every(
      context,
      "park what overflows",
      (stop) => context.wakeOverflow.wait(stop, isBusy() ? everyMs : discoverEveryMs),
      async (stop) => {
        // Until then rows of earlier owners may be running, and are not to be moved.
        if (context.unanswered.size > 0) return undefined;
        for (const priority of priorities) {
          if (!lookAhead.isTight(loadOf(priority))) continue;
          hearing.start();
          if (sights.isAlone || context.draining) continue;
          const parked = await parkExcess(priority, stop);
          if (parked === "stale") return parked;
          // The rest of it in the next round.
          if (parked > 0) context.wakeOverflow.notify();
        }
        if (clock.monotonic() >= discoverAt && (await discover()) === "stale") return "stale";
        if ((await refillAll(context, { kept, publisher, signal: stop })) === "stale") return "stale";
        // Last, because it fails while the queue is away.
        await hearing.settle(priorities.every((priority) => lookAhead.isCalm(loadOf(priority))));
        return undefined;
      },
    );
    try {
      await loop(signal);
    } finally {
      stopWatching?.();
    }
  };

  function loadOf(priority: Priority): Load {
    return memory.loads[priority] as Load;
  }

  function isNearlyFull(): boolean {
    return priorities.some((priority) => lookAhead.isTight(loadOf(priority)));
  }

  /** Of the flow that takes most of memory. Returns how many numbers have left. */
  async function parkExcess(priority: Priority, signal: AbortSignal): Promise<number | Stale> {
    const excess = Math.min(takeMax, lookAhead.excessOf(loadOf(priority)));
    if (excess === 0) return 0;
    const largest = [...order.flows()].sort((a, b) => memoryOf(b) - memoryOf(a));
    kept = keptOf(order.size, largest.length);
    for (const { flow } of largest) {
      const size = order.countOf(flow, ({ origin }) => origin.priority === priority);
      if (size <= kept) continue;
      const units = Math.min(excess, size - kept);
      const parked = await parkLatest(context, flow, units, ({ origin }) => origin.priority === priority, signal);
      const each = overflown.get(flowKey(flow));
      if (each) each.low = Math.max(keep.min / 2, Math.min(enough, order.sizeOf(flow) / 2));
      if (parked !== 0) return parked;
    }
    return 0;
  }

  /**
   * Rows that were parked by an owner before this one, or whose flow was not counted right. Counts what is parked, now and then:
   * rows come due, end, expire and move without a word to `overflown`.
   */
  async function discover(): Promise<Stale | undefined> {
    const startedAt = clock.monotonic();
    const isCount = startedAt >= countAt;
    discoverAt = startedAt + discoverEveryMs;
    if (isCount) countAt = startedAt + countRetryMs;
    const options = { limit: flowsMax, countMax: isCount ? countMax : 1 };
    const flows = await context.store.lanes.overflowFlows(owner, options);
    if (flows === "stale") return flows;
    if (isCount) countAt = clock.monotonic() + (clock.monotonic() - startedAt) / countShare;
    for (const { parked, ...flow } of flows) {
      const key = flowKey(flow);
      const known = overflown.get(key);
      if (known === undefined) {
        overflown.set(key, { ...newOverflown(flow, clock.monotonic()), urgency: undefined, low: enough / 2, parked });
      } else if (isCount) known.parked = parked;
    }
    return undefined;
  }
}

function keptOf(waiting: number, flows: number): number {
  return Math.ceil(Math.min(keep.max, Math.max(keep.min, waiting / 2 / Math.max(1, flows))));
}

/** About what a flow takes of memory. */
function memoryOf({ size, items }: { readonly size: number; readonly items: number }): number {
  return items * 25 + size;
}
