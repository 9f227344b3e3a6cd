// What waits in a partition, for the load-balancer and for operators. Asked every few seconds, with a million numbers in memory.
import { type Clock, type FairOrder, priorities } from "@sluice/core";
import type { Memory, Waiting } from "./memory.ts";

export interface Backlog {
  /** Numbers that wait for their turn. */
  readonly waiting: number;
  /** Age of the oldest of them; 0: none waits. */
  readonly ageMs: number;
}

export interface BacklogOptions {
  readonly clock: Clock;
  readonly memory: Memory;
  readonly order: FairOrder<Waiting>;
}

/** What runs, or is held until an agent has answered, does not wait for its turn. */
export function backlogOf({ clock, memory, order }: BacklogOptions): Backlog {
  const waiting = order.size;
  if (waiting === 0) return { waiting: 0, ageMs: 0 };
  const oldest = oldestWaiting(memory);
  return { waiting, ageMs: oldest === undefined ? 0 : Math.max(0, clock.now() - oldest) };
}

/**
 * Looks into blocks, the oldest first, until one has a number that waits. One that has none has a number that an agent has:
 * there are not more of these than slots.
 */
function oldestWaiting(memory: Memory): number | undefined {
  const waits = (seq: number) => memory.has(seq) && memory.active(seq) === undefined;
  const blocks = priorities.flatMap((priority) => memory.openDeliveries(priority).map(({ block }) => block));
  blocks.sort((a, b) => a.enqueuedAt - b.enqueuedAt);
  // The last ones of a block are the last to have their turn.
  return blocks.find(({ seqs }) => seqs.findLast(waits) !== undefined)?.enqueuedAt;
}
