// The embedded queue lives in memory: at a start it is filled from the store, which is what tasks are lost from never.

import type { TaskQueue } from "@sluice/queue";
import { blocksOf } from "@sluice/scheduler";
import type { Store } from "@sluice/store";

const pageSize = 10_000;

/** Announces every row that waits or was running. Returns how many. */
export async function rebuildQueue(
  { store, queue }: { store: Store; queue: TaskQueue },
  queues: readonly string[],
  signal: AbortSignal,
): Promise<number> {
  let count = 0;
  for (const name of queues) {
    for (let after = 0; !signal.aborted; ) {
      const page = await store.lanes.waiting(name, { after, limit: pageSize });
      if (page.length > 0) await queue.publish(blocksOf(name, page));
      count += page.length;
      const last = page.at(-1);
      if (!last || page.length < pageSize) break;
      after = last.seq;
    }
  }
  return count;
}
