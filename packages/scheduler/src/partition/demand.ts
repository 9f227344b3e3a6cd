// How many attempts a partition could have running if there were agents enough: what runs, and of what waits as much as
// limits, pauses and adaptive windows let through. What lies beyond its look-ahead is not counted; it counts when its turn
// is near, which is soon enough to start hosts.
import { flowKey } from "@sluice/core";
import type { PartitionContext } from "./context.ts";

export interface Demand {
  /** Attempts that agents have. */
  readonly running: number;
  readonly wanted: number;
}

/** Flows that wait beyond this many are counted with everything that they have. */
const flowsAskedMax = 5_000;

export function demandOf(context: Pick<PartitionContext, "memory" | "order" | "gates" | "functions">): Demand {
  const { memory, order, gates, functions } = context;
  let running = 0;
  for (const { state } of memory.activeTasks()) if (state === "dispatched") running++;
  let wanted = running;
  let asked = 0;
  for (const { flow, size } of order.flows()) {
    const key = flowKey(flow);
    // Of no task in particular: what holds a whole flow back does not ask for its lane.
    const origin = { ...flow, lane: 0, priority: 2, enqueuedAt: 0 } as const;
    const gated = { origin, flowKey: key, function: functions.peek(flow), active: memory.activeOf(key) };
    wanted += ++asked > flowsAskedMax ? size : Math.min(size, Math.max(0, gates.room(gated)));
  }
  return { running, wanted };
}
