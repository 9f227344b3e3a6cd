// The embedded queue lives in memory: at a start it is filled from the store, which is what tasks are lost from never.

import type { TaskQueue } from "@sluice/queue";
import { blocksOf } from "@sluice/scheduler";
import type { Store, WaitingPage } from "@sluice/store";

const pageSize = 10_000;

/** Announces every row that waits or was running. Returns how many. */
export async function rebuildQueue(
  { store, queue }: { store: Store; queue: TaskQueue },
  queues: readonly string[],
  signal: AbortSignal,
): Promise<number> {
  let count = 0;
  for (const name of queues) {
    for (let after: WaitingPage["last"]; !signal.aborted; ) {
      const { announcements, last } = await store.lanes.waiting(name, { after, limit: pageSize });
      if (announcements.length > 0) await queue.publish(blocksOf(name, announcements));
      count += announcements.length;
      if (announcements.length < pageSize) break;
      after = last;
    }
  }
  return count;
}
