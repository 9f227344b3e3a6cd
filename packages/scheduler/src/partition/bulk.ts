// What the loops share that write rows in bulk, unread, by numbers that are set aside meanwhile.
import type { Seq } from "@sluice/core";
import { type PartitionContext, putInOrder } from "./context.ts";

const retryMs = 200;

/**
 * Makes a call until its outcome is known. One that failed may still come through, and late: until a later one has answered,
 * nobody may act on its rows. Undefined: the partition has ended.
 */
export async function untilKnown<T>(
  { clock, log }: PartitionContext,
  signal: AbortSignal,
  call: () => Promise<T>,
): Promise<T | undefined> {
  while (!signal.aborted) {
    try {
      return await call();
    } catch (cause) {
      if (!signal.aborted) log.warn("cannot write rows in bulk", { cause: String(cause) });
      await clock.sleep(retryMs, signal);
    }
  }
  return undefined;
}

/** Back in order, those that a block has brought. */
export function restoreAll(context: PartitionContext, seqs: Iterable<Seq>): void {
  restoreUnnoticed(context, seqs);
  context.wakeDispatch.notify();
}

/** The same, of what was set aside in this same turn of the event loop: nobody has missed it, and nobody is woken. */
export function restoreUnnoticed(context: PartitionContext, seqs: Iterable<Seq>): void {
  for (const seq of seqs) {
    const waiting = context.memory.restore(seq);
    if (waiting) putInOrder(context, waiting);
  }
}
