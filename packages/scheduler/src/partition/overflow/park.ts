// The way out of memory: a flow's least urgent numbers are parked in the store, and their blocks are acked.
import { type Flow, flowKey, type Seq, urgency } from "@sluice/core";
import type { Stale } from "@sluice/store";
import { restoreAll, restoreUnnoticed, untilKnown } from "../bulk.ts";
import type { PartitionContext } from "../context.ts";
import type { Waiting } from "../memory.ts";
import { ackFinished } from "../pull.ts";
import { hasNoTurn } from "../turn.ts";
import { newOverflown, type Overflown } from "./overflown.ts";

/** Rows of one statement: some 150 ms, for which it holds the floor. */
const parkMax = 5_000;
const dueMs = { min: 60_000, max: 3_600_000 };

/** Parks the flow's least urgent numbers that match, as many as hold `units`. Returns how many have left memory. */
export async function parkLatest(
  context: PartitionContext,
  flow: Flow,
  units: number,
  matches: (waiting: Waiting) => boolean,
  signal: AbortSignal,
): Promise<number | Stale> {
  const seqs = take(context, flow, units, matches);
  return seqs.length === 0 ? 0 : await park(context, flow, seqs, signal);
}

/** Out of the order. */
function take(
  context: PartitionContext,
  flow: Flow,
  units: number,
  matches: (waiting: Waiting) => boolean,
): readonly Seq[] {
  const { order, memory } = context;
  const items = order.removeLatest(flow, units, matches);
  const each = known(context, flow);
  // Of what is not known, it may be that something is more urgent.
  if (each.urgency !== undefined) {
    each.urgency = items.reduce((least, { origin }) => Math.min(least, urgency(origin)), each.urgency);
  }
  const seqs = items.flatMap((item) => item.seqs.slice(item.next).filter((seq) => !hasNoTurn(memory, seq)));
  const parkable = seqs.filter((seq) => !context.suspects.has(seq));
  const aside = memory.setAside(parkable);
  if (parkable.length === seqs.length) return aside;
  // How the others ended is known, but not written yet.
  restoreUnnoticed(context, memory.setAside(seqs.filter((seq) => context.suspects.has(seq))));
  return aside;
}

function known({ overflown, clock }: PartitionContext, flow: Flow): Overflown {
  const key = flowKey(flow);
  const each = overflown.get(key) ?? newOverflown(flow, clock.monotonic());
  overflown.set(key, each);
  return each;
}

async function park(
  context: PartitionContext,
  flow: Flow,
  seqs: readonly Seq[],
  signal: AbortSignal,
): Promise<number | Stale> {
  const { clock, memory, owner, store, metrics } = context;
  const each = known(context, flow);
  const left = new Set(seqs);
  let count = 0;
  try {
    for (let start = 0; start < seqs.length; start += parkMax) {
      const chunk = seqs.slice(start, start + parkMax);
      const options = { dueInMs: dueIn(context, each), announcedUntil: clock.now() };
      const parked = await untilKnown(context, signal, () => store.lanes.parkOverflow(owner, chunk, options));
      if (parked === "stale") return parked;
      if (parked === undefined) return 0;
      for (const seq of parked) {
        left.delete(seq);
        memory.forget(seq);
      }
      each.parked += parked.length;
      count += parked.length;
      metrics.overflown.inc(parked.length);
      ackFinished(context);
    }
    return count;
  } finally {
    // Final, parked, or moved by others: their rows are read at their turn.
    restoreAll(context, left);
  }
}

/** Twice the time by which it should be the turn of what is parked now. */
function dueIn({ clock, order }: PartitionContext, { flow, parked, picks, since }: Overflown): number {
  const perMs = picks / Math.max(1, clock.monotonic() - since);
  const turnMs = perMs > 0 ? (order.sizeOf(flow) + parked) / perMs : Number.POSITIVE_INFINITY;
  return Math.min(dueMs.max, Math.max(dueMs.min, 2 * turnMs));
}
