// Loop: takes rows out of their parking whose pause has ended.
//
//   anything changed, the partition is new, or a row was parked for a pause that has ended meanwhile
//      └──▶ batch after batch is unparked and announced, until there is none
import type { Loop } from "@sluice/core";
import { blocksOf } from "../announce.ts";
import type { PartitionContext } from "./context.ts";
import { every } from "./every.ts";

/** Of one statement. */
const resumeMax = 5_000;
const retryMs = 1_000;
/** Nothing depends on it. */
const lookEveryMs = 60_000;

export function resumeLoop(context: PartitionContext): Loop {
  const { batchControl, owner } = context;
  let isDue = true;
  const loop = every(
    context,
    "resume",
    async (signal) => {
      await context.wakeResume.wait(signal, isDue ? retryMs : lookEveryMs);
      isDue = true;
    },
    async (signal) => {
      // What ended pauses are is known by those that hold.
      if (!batchControl.isUsable()) return undefined;
      isDue = false;
      for (;;) {
        const rows = await resume(signal);
        if (rows === "stale") return rows;
        if (rows < resumeMax || signal.aborted || context.draining) return undefined;
      }
    },
  );

  async function resume(signal: AbortSignal): Promise<number | "stale"> {
    try {
      const rows = await context.store.batches.resume(owner, batchControl.filterPauses, resumeMax);
      if (rows === "stale" || rows.length === 0 || signal.aborted) return rows === "stale" ? rows : rows.length;
      context.metrics.unparked.inc(rows.length);
      // If this fails, the sweeper finds them.
      await context.queue.publish(blocksOf(owner.queue, rows));
      return rows.length;
    } catch (cause) {
      isDue = true;
      throw cause;
    }
  }

  return async (signal) => {
    const stop = batchControl.watch(() => {
      isDue = true;
      context.wakeResume.notify();
    });
    try {
      await loop(signal);
    } finally {
      stop();
    }
  };
}
