// Loop: announces rows again that nobody has in memory although everything announced before them has been delivered: they
// lost their message, or the attempt that ran them. Finds nothing in a healthy cluster.
//
//   from the beginning ──pages of rows announced long enough ago──▶ checked up to a time ──later: rows announced since──▶ …
//
// A number that is in memory stays there until its row is settled or parked. So a row is looked at once after each of its
// announcements, however long it waits, and a round costs as much as was announced since the last one and still waits. Each
// priority goes on by itself: a crowd of low priority that has not been delivered yet holds up no urgent task.
//
// What could slip through is a row that was committed more than `sweepAgeMs` after it got its time. The audit finds it: it
// looks at everything again, one page a round.
import { type EpochMs, type Loop, type Priority, priorities, type Seq } from "@sluice/core";
import type { Announced, Stale, Swept } from "@sluice/store";
import { blocksOf } from "../announce.ts";
import type { PartitionContext } from "./context.ts";
import { every } from "./every.ts";

/** Numbers of one look: 20 ms of the database. */
const pageMax = 10_000;
const auditMax = 5_000;
/** Rows that are announced again in one go. */
const announceMax = 1_000;

const beginning: Announced = { announcedAt: 0, seq: 0 };

export function sweepLoop(context: PartitionContext): Loop {
  const checked = priorities.map(() => beginning);
  const audit: { priority: Priority; after: Announced } = { priority: 0, after: beginning };

  const loop = every(
    context,
    "sweep",
    (signal) => context.wakeSweep.wait(signal, context.config.sweepEveryMs),
    async (signal) => {
      const caughtUpTo = await Promise.all(context.consumers.map((consumer) => consumer.caughtUpTo()));
      const oldEnough = context.clock.now() - context.config.sweepAgeMs;
      for (const priority of priorities) {
        const until = Math.min(oldEnough, caughtUpTo[priority] ?? 0);
        if ((await catchUp(priority, until, signal)) === "stale") return "stale";
      }
      return await auditOnce();
    },
  );

  async function catchUp(priority: Priority, until: EpochMs, signal: AbortSignal): Promise<Stale | undefined> {
    for (;;) {
      const after = checked[priority] ?? beginning;
      if (until <= after.announcedAt || signal.aborted) return undefined;
      const page = await look(context, { priority, after, announcedBefore: until, limit: pageMax });
      if (page === "stale") return page;
      const isLast = page.last === undefined || page.seqs.length < pageMax;
      checked[priority] = isLast ? { announcedAt: until - 1, seq: Number.MAX_SAFE_INTEGER } : page.last;
      if (isLast) return undefined;
    }
  }

  async function auditOnce(): Promise<Stale | undefined> {
    const { priority, after } = audit;
    const announcedBefore = checked[priority]?.announcedAt ?? 0;
    const page = await look(context, { priority, after, announcedBefore, limit: auditMax });
    if (page === "stale") return page;
    if (page.last !== undefined && page.seqs.length === auditMax) audit.after = page.last;
    else Object.assign(audit, { priority: ((priority + 1) % priorities.length) as Priority, after: beginning });
    return undefined;
  }

  return async (signal) => {
    const stopWatching = context.queue.health?.watch((isUp) => {
      if (isUp) context.wakeSweep.notify();
    });
    try {
      await loop(signal);
    } finally {
      stopWatching?.();
    }
  };
}

/** Reads a page, and announces again what is lost. */
async function look(
  context: PartitionContext,
  options: Parameters<PartitionContext["store"]["lanes"]["sweep"]>[1],
): Promise<Swept | Stale> {
  const page = await context.store.lanes.sweep(context.owner, options);
  if (page === "stale") return page;
  const lost = page.seqs.filter((seq) => !context.memory.has(seq));
  for (let start = 0; start < lost.length; start += announceMax) {
    if ((await announceAgain(context, lost.slice(start, start + announceMax))) === "stale") return "stale";
  }
  return page;
}

/** If it fails after the rows were touched, they are found again: they count as announced now. */
async function announceAgain(context: PartitionContext, seqs: readonly Seq[]): Promise<Stale | undefined> {
  const touched = await context.store.lanes.touch(context.owner, seqs);
  if (touched === "stale") return touched;
  if (touched.length === 0) return undefined;
  await context.queue.publish(blocksOf(context.owner.queue, touched));
  context.metrics.reannounced.inc(touched.length);
  context.log.warn("announced rows again that had lost their message", { count: touched.length });
  return undefined;
}
