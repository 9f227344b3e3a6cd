// Loops that look at rows beside the tasks' way: marks, parked rows that are due, rows past their retention. What they cost
// does not grow with what waits: each look is a few entries of an index (0.1 to 0.3 ms beside a million rows).
import type { Loop } from "@sluice/core";
import { markedTopic } from "@sluice/queue";
import type { TaskRow } from "@sluice/store";
import type { PartitionPort } from "../agents/link.ts";
import { blocksOf } from "../announce.ts";
import { type PartitionContext, pushWrite } from "./context.ts";
import { every } from "./every.ts";
import { mayBeOld } from "./memory.ts";
import { refusedWrite } from "./outcome.ts";

const marksMax = 1_000;
const unparkMax = 1_000;
const purgeMax = 500;

/** Stops what is marked. */
export function marksLoop(context: PartitionContext, port: PartitionPort): Loop {
  const loop = every(
    context,
    "look for marks",
    (signal) => context.wakeMarks.wait(signal, context.config.marksEveryMs),
    async () => {
      const rows = await context.store.lanes.marked(context.owner, marksMax);
      if (rows === "stale") return "stale";
      for (const row of rows) actOnMark(context, port, row);
      return undefined;
    },
  );
  return async (signal) => {
    const stopListening = context.signals.listen(markedTopic(context.owner.queue), () => context.wakeMarks.notify());
    try {
      await loop(signal);
    } finally {
      stopListening();
    }
  };
}

function actOnMark(context: PartitionContext, port: PartitionPort, row: TaskRow): void {
  if (row.status === "Unknown") return;
  const known = context.memory.active(row.seq);
  if (known) {
    // One that is being read or written is decided there; one that is held may be running.
    if (row.stopRequested && known.attempt === row.attempt) known.stopMarked = true;
    if (known.state !== "dispatched" || known.stopSent || !known.link || !row.stopRequested) return;
    const ref = { seq: row.seq, attempt: known.attempt, queue: context.owner.queue, lane: row.lane };
    known.stopSent = known.link.stop(port, [ref]);
    return;
  }
  // What is parked past its expiry ends in bulk.
  if (!row.stopRequested) return;
  const isParked = row.dueAt !== undefined;
  if (!isParked && mayBeOld(row, context.owner.epoch) && context.unanswered.size > 0) return;
  const task = context.memory.activateRow(row, "settling");
  const write = refusedWrite(task, "Stopped", undefined, context.clock.now());
  pushWrite(context, { write, confirmTo: undefined });
}

/** Takes due rows out of their parking and announces them. */
export function unparkLoop(context: PartitionContext): Loop {
  let pauseMs = context.config.unparkEveryMs;
  return every(
    context,
    "unpark",
    async (signal) => {
      // Used up here: a round that does nothing, because the lease is not trusted, must not be followed by another at once.
      const ms = pauseMs;
      pauseMs = context.config.unparkEveryMs;
      if (ms > 0) await context.wakeUnpark.wait(signal, ms);
    },
    async () => {
      const dueInMs = await context.store.lanes.dueIn(context.owner, context.config.unparkEveryMs);
      // Taking rows out locks the floor, which is a write: not every second for nothing.
      if (dueInMs === undefined) return undefined;
      if (dueInMs > 0) {
        pauseMs = dueInMs;
        return undefined;
      }
      const due = await context.store.lanes.unpark(context.owner, unparkMax, []);
      if (due === "stale") return "stale";
      if (due.length === 0) return undefined;
      await context.queue.publish(blocksOf(context.owner.queue, due));
      context.metrics.unparked.inc(due.length);
      // More may be due, or soon.
      pauseMs = 0;
      return undefined;
    },
  );
}

/** Deletes final rows past their retention, in small batches. */
export function purgeLoop(context: PartitionContext): Loop {
  return every(
    context,
    "purge",
    (signal) => context.clock.sleep(context.config.purgeEveryMs, signal),
    async (signal) => {
      const endedBefore = context.clock.now() - context.config.retentionMs;
      for (;;) {
        const deleted = await context.store.lanes.purge(context.owner, { endedBefore, limit: purgeMax });
        if (deleted === "stale") return "stale";
        if (deleted < purgeMax || signal.aborted) return undefined;
      }
    },
  );
}
