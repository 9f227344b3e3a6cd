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
import { covers, type Flow, flowKey, type Loop, type Priority, priorities, type Seq, urgency } from "@sluice/core";
import type { Block } from "@sluice/queue";
import type { Stale } from "@sluice/store";
import { blocksOf } from "../announce.ts";
import { restoreAll, untilKnown } from "./bulk.ts";
import { type PartitionContext, putInOrder } from "./context.ts";
import { every } from "./every.ts";
import type { Load } from "./look-ahead.ts";
import { ackFinished } from "./pull.ts";
import { hasNoTurn } from "./turn.ts";

/** Rows of one statement: some 150 ms, for which it holds the floor. */
const parkMax = 5_000;
/** Numbers that are set aside at once. */
const takeMax = 20_000;
const unparkMax = 10_000;
/** Fewer are not worth a round trip, as long as there is room. */
const unparkMin = 256;
/** What a flow keeps in memory of a priority, however little room there is: half of what flows have on average, within these bounds. */
const keep = { min: 4, max: unparkMin };
const everyMs = 250;
/** A flow that has so many numbers in memory needs no more for now: two seconds of a busy one. */
const enough = 20_000;
const dueMs = { min: 60_000, max: 3_600_000 };
/** How often flows are looked for whose rows another owner has parked. */
const discoverEveryMs = 30_000;
const flowsMax = 1_000;
/** Between the clock of the queue, whose are the times of its blocks, and this one. */
const clocksDifferMs = 2_000;
/** Blocks that are taken in before their delivery are of flows that have at most so many numbers in memory. */
const earlyMax = 1_000;

/** A flow with parked rows, as far as this owner knows. */
interface Overflown {
  readonly flow: Flow;
  /** No parked row is more urgent. */
  urgency: number;
  /** It gets some back when fewer wait in memory that are as urgent, so that what is less urgent rarely goes before them. */
  low: number;
  parked: number;
  /** When its attempts began to be counted, monotonic. */
  readonly since: number;
}

export function overflowLoop(context: PartitionContext): Loop {
  const { clock, memory, order, owner, lookAhead, sights, picks } = context;
  const overflown = new Map<string, Overflown>();
  let discoverAt = 0;
  let kept = keep.max;
  let stopHearing: (() => void) | undefined;
  let hearsSince = 0;

  const loop = every(
    context,
    "park what overflows",
    (signal) => context.wakeOverflow.wait(signal, isBusy() ? everyMs : discoverEveryMs),
    async (signal) => {
      // Until then rows of earlier owners may be running, and are not to be moved.
      if (context.unanswered.size > 0) return undefined;
      for (const priority of priorities) {
        if (!lookAhead.isTight(loadOf(priority))) continue;
        listen();
        while (!sights.isAlone && !signal.aborted && !context.draining) {
          const parked = await parkExcess(priority, signal);
          if (parked === "stale") return parked;
          if (parked === 0) break;
        }
      }
      if (stopHearing && priorities.every((priority) => lookAhead.isCalm(loadOf(priority)))) await stopListening();
      else await settleDoubt();
      if (clock.monotonic() >= discoverAt && (await discover()) === "stale") return "stale";
      for (const each of [...overflown.values()]) if ((await refill(each, signal)) === "stale") return "stale";
      return undefined;
    },
  );

  function loadOf(priority: Priority): Load {
    return memory.loads[priority] as Load;
  }
  /** Before it knows what earlier owners have parked, too. */
  function isBusy(): boolean {
    return discoverAt === 0 || overflown.size > 0 || stopHearing !== undefined || isNearlyFull();
  }
  function isNearlyFull(): boolean {
    return priorities.some((priority) => lookAhead.isTight(loadOf(priority)));
  }

  /** Returns how many numbers have left memory. */
  async function parkExcess(priority: Priority, signal: AbortSignal): Promise<number | Stale> {
    const excess = Math.min(takeMax, lookAhead.excessOf(loadOf(priority)));
    if (excess === 0) return 0;
    const largest = [...order.flows()].sort((a, b) => memoryOf(b) - memoryOf(a));
    kept = keptOf(order.size, largest.length);
    for (const { flow } of largest) {
      const size = order.countOf(flow, ({ origin }) => origin.priority === priority);
      if (size <= kept) continue;
      const seqs = take(flow, priority, Math.min(excess, size - kept));
      if (seqs.length === 0) continue;
      return await park(flow, seqs, signal);
    }
    return 0;
  }

  /** The flow's least urgent numbers of a priority, out of the order. */
  function take(flow: Flow, priority: Priority, units: number): Seq[] {
    const items = order.removeLatest(flow, units, ({ origin }) => origin.priority === priority);
    const each = known(flow);
    each.urgency = items.reduce((least, { origin }) => Math.min(least, urgency(origin)), each.urgency);
    each.low = Math.max(keep.min / 2, Math.min(enough, order.sizeOf(flow) / 2));
    const seqs = items.flatMap((item) => item.seqs.slice(item.next).filter((seq) => !hasNoTurn(memory, seq)));
    const parkable = seqs.filter((seq) => !context.suspects.has(seq));
    const aside = memory.setAside(parkable);
    if (parkable.length === seqs.length) return aside;
    // How the others ended is known, but not written yet.
    const kept = memory.setAside(seqs.filter((seq) => context.suspects.has(seq)));
    restoreAll(context, kept);
    return aside;
  }

  function known(flow: Flow): Overflown {
    const key = flowKey(flow);
    const each = overflown.get(key) ?? {
      ...{ flow, urgency: Number.POSITIVE_INFINITY, low: enough, parked: 0, since: clock.monotonic() },
    };
    overflown.set(key, each);
    if (!picks.has(key)) picks.set(key, 0);
    return each;
  }

  /** What waits in memory and goes before every parked row of its flow. */
  function urgentOf(each: Overflown): number {
    return order.countOf(each.flow, (_waiting, urgency) => urgency <= each.urgency);
  }

  async function park(flow: Flow, seqs: readonly Seq[], signal: AbortSignal): Promise<number | Stale> {
    const { lanes } = context.store;
    const each = known(flow);
    const left = new Set(seqs);
    let count = 0;
    try {
      for (let start = 0; start < seqs.length; start += parkMax) {
        const chunk = seqs.slice(start, start + parkMax);
        const options = { dueInMs: dueIn(each), announcedUntil: clock.now() };
        const parked = await untilKnown(context, signal, () => lanes.parkOverflow(owner, chunk, options));
        if (parked === "stale") return parked;
        if (parked === undefined) return 0;
        for (const seq of parked) {
          left.delete(seq);
          memory.forget(seq);
        }
        each.parked += parked.length;
        count += parked.length;
        context.metrics.overflown.inc(parked.length);
        ackFinished(context);
      }
      return count;
    } finally {
      // Final, parked, or moved by others: their rows are read at their turn.
      restoreAll(context, left);
    }
  }

  /** Twice the time by which it should be the turn of what is parked now. */
  function dueIn({ flow, parked, since }: Overflown): number {
    const perMs = (picks.get(flowKey(flow)) ?? 0) / Math.max(1, clock.monotonic() - since);
    const turnMs = perMs > 0 ? (order.sizeOf(flow) + parked) / perMs : Number.POSITIVE_INFINITY;
    return Math.min(dueMs.max, Math.max(dueMs.min, 2 * turnMs));
  }

  /**
   * As far as there is room; and never nothing, if nothing is left that goes before them. What comes in never makes the
   * look-ahead tight by itself: it would be parked at once, and come in again.
   */
  async function refill(each: Overflown, signal: AbortSignal): Promise<Stale | undefined> {
    const { flow, low } = each;
    while (!signal.aborted && !context.draining) {
      const spare = Math.min(...priorities.map((priority) => lookAhead.spareOf(loadOf(priority))));
      const isRoomy = spare >= unparkMin;
      const size = urgentOf(each);
      if (size >= (isRoomy ? low : kept / 2)) return undefined;
      const limit = isRoomy ? Math.min(unparkMax, spare, Math.max(unparkMin, Math.ceil(2 * low - size))) : kept - size;
      const rows = await context.store.lanes.unparkOverflow(owner, flow, limit);
      if (rows === "stale") return rows;
      each.parked = Math.max(0, each.parked - rows.length);
      const last = rows.at(-1);
      if (last) each.urgency = urgency(last);
      context.metrics.unparked.inc(rows.length);
      const blocks = blocksOf(owner.queue, rows);
      // At once, and not behind everything that is in the queue.
      for (const block of blocks) enterEarly(block);
      if (rows.length < limit) {
        overflown.delete(flowKey(flow));
        picks.delete(flowKey(flow));
      }
      if (rows.length === 0) return undefined;
      context.wakeDispatch.notify();
      // For the next owner. If that fails, its sweeper finds them.
      await context.queue.publish(blocks);
      if (rows.length < limit) return undefined;
    }
    return undefined;
  }

  /** Rows that were parked by an owner before this one, or whose flow was not counted right. */
  async function discover(): Promise<Stale | undefined> {
    discoverAt = clock.monotonic() + discoverEveryMs;
    const flows = await context.store.lanes.overflowFlows(owner, flowsMax);
    if (flows === "stale") return flows;
    for (const flow of flows) {
      const key = flowKey(flow);
      if (!overflown.has(key))
        overflown.set(key, {
          ...{ flow, urgency: Number.NEGATIVE_INFINITY, low: enough / 2, parked: 0, since: clock.monotonic() },
        });
    }
    return undefined;
  }

  function enterEarly(block: Block): void {
    const waiting = memory.enterEarly(block);
    if (waiting) putInOrder(context, waiting);
  }

  /** From now on nobody is overlooked; who was before is seen once everything of before is delivered. */
  function listen(): void {
    if (stopHearing !== undefined) return;
    hearsSince = clock.now() + clocksDifferMs;
    stopHearing = context.queue.hear?.(owner, hear);
  }

  async function settleDoubt(): Promise<void> {
    if (stopHearing !== undefined && sights.isInDoubt && (await caughtUpTo()) > hearsSince) sights.clear();
  }

  function hear(block: Block): void {
    if (!covers(owner.prefix, block.lane) || block.queue !== owner.queue || context.draining) return;
    const wasAlone = sights.isAlone;
    sights.see(flowKey(block));
    if (wasAlone && !sights.isAlone) context.wakeOverflow.notify();
    if (order.sizeOf(block) >= earlyMax || !lookAhead.hasReserve()) return;
    enterEarly(block);
    context.wakeDispatch.notify();
  }

  async function stopListening(): Promise<void> {
    if ((await caughtUpTo()) < Number.POSITIVE_INFINITY) return;
    stopHearing?.();
    stopHearing = undefined;
    sights.doubt();
  }

  async function caughtUpTo(): Promise<number> {
    return Math.min(...(await Promise.all(context.consumers.map((consumer) => consumer.caughtUpTo()))));
  }

  return async (signal) => {
    const stopWatching = context.queue.health?.watch((isUp) => {
      if (!isUp) sights.doubt();
    });
    try {
      await loop(signal);
    } finally {
      stopWatching?.();
      stopHearing?.();
    }
  };
}

function keptOf(waiting: number, flows: number): number {
  return Math.ceil(Math.min(keep.max, Math.max(keep.min, waiting / 2 / Math.max(1, flows))));
}

/** About what a flow takes of memory. */
function memoryOf({ size, items }: { readonly size: number; readonly items: number }): number {
  return items * 25 + size;
}
