import type { LoadReport, Wish } from "@sluice/coordination";
import { partitionKey } from "@sluice/core";

export interface QueueBacklog {
  readonly waiting: number;
  readonly ageMs: number;
  readonly drainPerSecond: number;
}

/** What waits in each queue, from what the owners say of their partitions; what somebody else says of them does not count. */
export function queueBacklogs(
  wishes: readonly Wish[],
  reports: readonly LoadReport[],
): ReadonlyMap<string, QueueBacklog> {
  const owners = new Map(
    wishes.flatMap(({ queue, partitions }) =>
      partitions.map(({ prefix, ownerId }) => [partitionKey({ queue, prefix }), ownerId] as const),
    ),
  );
  const queues = new Map<string, QueueBacklog>();
  for (const { memberId, partitions } of reports) {
    for (const load of partitions) {
      if (owners.get(partitionKey(load)) !== memberId) continue;
      const sum = queues.get(load.queue) ?? { waiting: 0, ageMs: 0, drainPerSecond: 0 };
      queues.set(load.queue, {
        waiting: sum.waiting + load.waiting,
        ageMs: Math.max(sum.ageMs, load.backlogAgeMs),
        drainPerSecond: Math.round(10 * (sum.drainPerSecond + load.dispatchedPerSecond)) / 10,
      });
    }
  }
  return queues;
}
