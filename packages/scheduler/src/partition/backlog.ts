// What waits in a partition, for the load-balancer and for operators.
import type { Clock, FairOrder } from "@sluice/core";
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
  const oldest = memory.oldestWaiting();
  return { waiting, ageMs: oldest === undefined ? 0 : Math.max(0, clock.now() - oldest) };
}
