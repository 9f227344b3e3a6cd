// The way back into memory: the most urgent parked rows of a flow, as it has room. `pick` passes over a flow while rows that
// are parked go before what it has in memory; so one flow must not wait here for what another one needs, nor for the queue.
import { flowKey, priorities, urgency } from "@sluice/core";
import type { Stale } from "@sluice/store";
import { blocksOf } from "../../announce.ts";
import type { PartitionContext } from "../context.ts";
import type { Load } from "../look-ahead.ts";
import { enterEarly } from "./hear.ts";
import type { Overflown } from "./overflown.ts";
import { parkLatest } from "./park.ts";
import type { Publisher } from "./publish.ts";

const unparkMax = 10_000;
/** Fewer are not worth a round trip, as long as there is room. */
const unparkMin = 256;
/** Of a flow that has in memory only what must wait for its parked rows, so many change places at once. */
const swapMax = 2_000;
/** Flows that wait come first: so long at most others are filled up before it is looked for those again. */
const roundMs = 250;
const retryMs = 250;

export interface RefillOptions {
  /** What a flow keeps in memory, however little room there is. */
  readonly kept: number;
  readonly publisher: Publisher;
  readonly signal: AbortSignal;
}

/** Brings back what its flow has room for, a little of everybody who waits for it first. */
export async function refillAll(context: PartitionContext, options: RefillOptions): Promise<Stale | undefined> {
  const { overflown, clock, log } = context;
  const refill = async (each: Overflown, mostRounds: number) => {
    if (clock.monotonic() < each.retryAt) return undefined;
    try {
      return await refillOne(context, each, mostRounds, options);
    } catch (cause) {
      each.retryAt = clock.monotonic() + retryMs;
      log.warn("cannot bring back what is parked", { flow: flowKey(each.flow), cause: String(cause) });
      return undefined;
    }
  };
  const waiting = [...overflown.values()].filter(({ passedSince }) => passedSince !== undefined);
  for (const each of waiting) if ((await refill(each, 1)) === "stale") return "stale";
  const startedAt = clock.monotonic();
  for (const each of [...overflown.values()]) {
    if (clock.monotonic() - startedAt > roundMs) {
      context.wakeOverflow.notify();
      return undefined;
    }
    if ((await refill(each, Number.POSITIVE_INFINITY)) === "stale") return "stale";
  }
  return undefined;
}

/**
 * As far as there is room; and never nothing, if nothing is left that goes before them. What comes in never makes the
 * look-ahead tight by itself: it would be parked at once, and come in again.
 */
async function refillOne(
  context: PartitionContext,
  each: Overflown,
  mostRounds: number,
  { kept, publisher, signal }: RefillOptions,
): Promise<Stale | undefined> {
  const { owner, overflown, order, store, metrics } = context;
  const { flow } = each;
  for (let round = 0; round < mostRounds && !signal.aborted && !context.draining; round++) {
    const limit = await roomFor(context, each, kept, signal);
    if (limit === "stale") return limit;
    if (limit === 0) return undefined;
    const rows = await store.lanes.unparkOverflow(owner, flow, limit);
    if (rows === "stale") return rows;
    each.parked = Math.max(0, each.parked - rows.length);
    each.passedSince = undefined;
    const last = rows.at(-1);
    if (last) each.urgency = urgency(last);
    metrics.unparked.inc(rows.length);
    const blocks = blocksOf(owner.queue, rows);
    // At once, and not behind everything that is in the queue.
    for (const block of blocks) enterEarly(context, block);
    publisher.publish(blocks);
    overflown.delete(flowKey(flow));
    // Behind the others: who needs much must not be served first again and again.
    if (rows.length === limit) overflown.set(flowKey(flow), each);
    order.unblock(flow);
    context.wakeDispatch.notify();
    if (rows.length < limit) return undefined;
  }
  return undefined;
}

/** How many rows may come back now. */
async function roomFor(
  context: PartitionContext,
  each: Overflown,
  kept: number,
  signal: AbortSignal,
): Promise<number | Stale> {
  const { lookAhead, memory, order } = context;
  const { flow, low } = each;
  const spare = Math.min(...priorities.map((priority) => lookAhead.spareOf(memory.loads[priority] as Load)));
  const size = urgentOf(context, each);
  if (spare >= unparkMin) {
    return size >= low ? 0 : Math.min(unparkMax, spare, Math.max(unparkMin, Math.ceil(2 * low - size)));
  }
  if (size >= kept / 2) return 0;
  const behind = each.urgency === undefined ? 0 : order.sizeOf(flow) - size;
  if (behind <= kept) return kept - size;
  // All that it has in memory, and must not go yet, would else hold the place of what must go first.
  const parked = await parkLatest(context, flow, Math.min(swapMax, behind), () => true, signal);
  return parked === "stale" ? parked : Math.max(kept - size, parked);
}

/** What waits in memory and goes before every parked row of its flow. */
function urgentOf({ order }: PartitionContext, { flow, urgency: bound }: Overflown): number {
  return bound === undefined ? 0 : order.countOf(flow, (_waiting, urgency) => urgency <= bound);
}
