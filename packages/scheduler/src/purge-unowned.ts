// Loop of the leader: deletes final rows past their retention in queues that flows had as their own and gave up. Every other row
// is purged by the owner of its lane; these lanes have none. The leader acts under the epochs of the last owners: it can do no
// more than they could, and as soon as somebody owns the queue again, nothing.
import { type Coordinator, readWishes } from "@sluice/coordination";
import {
  AppError,
  type Clock,
  type Epoch,
  halvesOf,
  isDedicatedQueue,
  type Loop,
  lanesOf,
  type Prefix,
} from "@sluice/core";
import type { Logger } from "@sluice/runtime";
import type { Store } from "@sluice/store";
import type { SchedulerConfig } from "./config.ts";

export interface PurgeUnownedDeps {
  readonly config: Pick<SchedulerConfig, "purgeEveryMs" | "retentionMs">;
  /** Of the store. */
  readonly clock: Clock;
  readonly log: Logger;
  readonly coordinator: Coordinator;
  readonly store: Pick<Store, "lanes">;
  readonly isLeading: () => boolean;
}

const purgeMax = 500;

export function purgeUnownedLoop({ config, clock, log, coordinator, store, isLeading }: PurgeUnownedDeps): Loop {
  async function purge(queue: string, floors: readonly Epoch[], signal: AbortSignal): Promise<void> {
    const endedBefore = clock.now() - config.retentionMs;
    for (const { prefix, epoch } of partsOf(floors)) {
      for (let deleted = purgeMax; deleted === purgeMax && !signal.aborted && isLeading(); ) {
        const answer = await store.lanes.purge({ queue, prefix, epoch }, { endedBefore, limit: purgeMax });
        // Somebody owns it again.
        if (answer === "stale") return;
        deleted = answer;
      }
    }
  }

  return async (signal) => {
    while (!signal.aborted) {
      await clock.sleep(config.purgeEveryMs, signal);
      if (signal.aborted || !isLeading()) continue;
      try {
        const [floors, wishes] = await Promise.all([store.lanes.allFloors(), readWishes(coordinator)]);
        const wished = new Set(wishes.map(({ queue }) => queue));
        for (const [queue, epochs] of floors) {
          if (isDedicatedQueue(queue) && !wished.has(queue)) await purge(queue, epochs, signal);
        }
      } catch (cause) {
        if (!(cause instanceof AppError)) throw cause;
        log.debug("cannot purge queues that were given up", { reason: cause.reason });
      }
    }
  };
}

/** The largest prefixes whose lanes all have the same floor. */
function partsOf(floors: readonly Epoch[], prefix: Prefix = ""): { readonly prefix: Prefix; readonly epoch: Epoch }[] {
  const { from, until } = lanesOf(prefix);
  const [epoch = 0, ...others] = floors.slice(from, until);
  const halves = halvesOf(prefix);
  if (halves === undefined || others.every((other) => other === epoch)) return [{ prefix, epoch }];
  return halves.flatMap((half) => partsOf(floors, half));
}
