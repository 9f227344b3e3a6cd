// How many attempts a partition could have running if there were agents enough: what runs, and of what waits as much as
// limits, pauses and adaptive windows let through. What lies beyond its look-ahead is not counted; it counts when its turn
// is near, which is soon enough to start hosts.
import { covers, type Flow, flowKey } from "@sluice/core";
import type { PartitionContext } from "./context.ts";
import { flowLimits } from "./homes.ts";

export interface Demand {
  /** Attempts that agents have. */
  readonly running: number;
  readonly wanted: number;
}

/** Flows that wait beyond this many are counted with everything that they have. */
export const flowsAskedMax = 5_000;

/** What it takes to ask the gates of a flow. */
export type GatesContext = Pick<
  PartitionContext,
  "memory" | "gates" | "functions" | "accounts" | "routes" | "queues" | "owner"
>;

export function demandOf(context: GatesContext & Pick<PartitionContext, "order">): Demand {
  const { memory, order } = context;
  let running = 0;
  for (const { state } of memory.activeTasks()) if (state === "dispatched") running++;
  let wanted = running;
  let asked = 0;
  for (const { flow, size } of order.flows()) {
    if (++asked > flowsAskedMax) {
      wanted += size;
      continue;
    }
    // What waits to be moved to its home counts there.
    wanted += Math.min(size, gatesRoom(context, flow) ?? 0);
  }
  return { running, wanted };
}

/** Attempts of the flow that its gates let through now, whatever room its agents have; undefined: its home is elsewhere. */
export function gatesRoom(context: GatesContext, flow: Flow): number | undefined {
  const { memory, gates, functions, owner } = context;
  const key = flowKey(flow);
  const record = functions.peek(flow);
  const home = flowLimits(context, flow, record)?.home;
  if (home && (home.queue !== owner.queue || !covers(owner.prefix, home.lane))) return undefined;
  // Of no task in particular. Limits count in the home only; for what else holds a whole flow back, any lane does.
  const origin = { ...flow, lane: home?.lane ?? 0, priority: 2, enqueuedAt: 0 } as const;
  return Math.max(0, gates.room({ origin, flowKey: key, function: record, active: memory.activeOf(key) }));
}
