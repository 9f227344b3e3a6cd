// What waits in a partition, for the load-balancer and for operators.
import type { Clock, FairOrder } from "@sluice/core";
import type { Memory, Waiting } from "./memory.ts";
import type { Overflown } from "./overflow/overflown.ts";

export interface Backlog {
  /** Tasks that wait for their turn: in memory, and parked because that was full. What a lone flow has left in the queue is not known. */
  readonly waiting: number;
  /** Those of them that are parked, as counted last. */
  readonly parked: number;
  /** Age of the oldest of those in memory; 0: none waits there. */
  readonly ageMs: number;
}

export interface BacklogOptions {
  readonly clock: Clock;
  readonly memory: Memory;
  readonly order: FairOrder<Waiting>;
  readonly overflown: ReadonlyMap<string, Overflown>;
}

/** What runs, or is held until an agent has answered, does not wait for its turn. */
export function backlogOf({ clock, memory, order, overflown }: BacklogOptions): Backlog {
  let parked = 0;
  for (const each of overflown.values()) parked += each.parked;
  const oldest = order.size === 0 ? undefined : memory.oldestWaiting();
  const ageMs = oldest === undefined ? 0 : Math.max(0, clock.now() - oldest);
  return { waiting: order.size + parked, parked, ageMs };
}
