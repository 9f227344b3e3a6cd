// How many attempts a partition could have running if there were agents enough: what runs, and of what waits as much as
// limits, pauses and adaptive windows let through. What lies beyond its look-ahead is not counted; it counts when its turn
// is near, which is soon enough to start hosts.
import { covers, flowKey } from "@sluice/core";
import type { PartitionContext } from "./context.ts";
import { flowLimits } from "./homes.ts";

export interface Demand {
  /** Attempts that agents have. */
  readonly running: number;
  readonly wanted: number;
}

/** Flows that wait beyond this many are counted with everything that they have. */
const flowsAskedMax = 5_000;

type Context = Pick<
  PartitionContext,
  "memory" | "order" | "gates" | "functions" | "accounts" | "routes" | "queues" | "owner"
>;

export function demandOf(context: Context): Demand {
  const { memory, order, gates, functions, owner } = context;
  let running = 0;
  for (const { state } of memory.activeTasks()) if (state === "dispatched") running++;
  let wanted = running;
  let asked = 0;
  for (const { flow, size } of order.flows()) {
    if (++asked > flowsAskedMax) {
      wanted += size;
      continue;
    }
    const key = flowKey(flow);
    const record = functions.peek(flow);
    const home = flowLimits(context, flow, record)?.home;
    // It waits to be moved there, and counts there.
    if (home && (home.queue !== owner.queue || !covers(owner.prefix, home.lane))) continue;
    // Of no task in particular. Limits count in the home only; for what else holds a whole flow back, any lane does.
    const origin = { ...flow, lane: home?.lane ?? 0, priority: 2, enqueuedAt: 0 } as const;
    const room = gates.room({ origin, flowKey: key, function: record, active: memory.activeOf(key) });
    wanted += Math.min(size, Math.max(0, room));
  }
  return { running, wanted };
}
