// What waits in a partition, for the load-balancer and for operators; and what of it is ready: no gate holds it back, so a faster
// owner, or more agents, would have started it.
import { type EpochMs, type Flow, flowKey } from "@sluice/core";
import type { PartitionContext } from "./context.ts";
import { flowsAskedMax, type GatesContext, gatesRoom } from "./demand.ts";

export interface Backlog {
  /** Tasks that wait for their turn: in memory, and parked because that was full. What a lone flow has left in the queue is not known. */
  readonly waiting: number;
  /** Those of them that are parked, as counted last. */
  readonly parked: number;
  /** Age of the oldest of those in memory; 0: none waits there. */
  readonly ageMs: number;
  /** Of the same. */
  readonly ready: {
    /** Those of flows that their gates have not held back for a while. */
    readonly waiting: number;
    /** Age of the oldest of those in memory, counted from when its flow was held back last. */
    readonly ageMs: number;
  };
}

export type BacklogContext = GatesContext & Pick<PartitionContext, "clock" | "order" | "overflown" | "heldBackAt">;

/**
 * With a flow that was held back no longer ago its owner keeps up: it takes what the gates let through as it comes. An owner that is
 * busy looks several times in so long, and a load must last longer to count.
 */
const heldBackForMs = 2_000;

/** What runs, or is held until an agent has answered, does not wait for its turn. */
export function backlogOf(context: BacklogContext): Backlog {
  const { clock, memory, order, heldBackAt } = context;
  const parked = parkedOf(context);
  const waiting = order.size + parked;
  const ageOf = (oldest: EpochMs | undefined) =>
    oldest === undefined ? 0 : Math.max(0, Math.round(clock.now() - oldest));
  const ageMs = order.size === 0 ? 0 : ageOf(memory.oldestWaiting());
  const heldBack = lookAtGates(context);
  if (heldBackAt.size === 0) return { waiting, parked, ageMs, ready: { waiting, ageMs } };
  const skew = clock.now() - clock.monotonic();
  const heldUntil = (key: string) => (heldBackAt.get(key) ?? Number.NEGATIVE_INFINITY) + skew;
  const oldest = order.size === 0 ? undefined : memory.oldestWaiting((flow) => heldUntil(flowKey(flow)));
  return { waiting, parked, ageMs, ready: { waiting: waiting - heldBack, ageMs: ageOf(oldest) } };
}

export function parkedOf({ overflown }: Pick<PartitionContext, "overflown">): number {
  let parked = 0;
  for (const each of overflown.values()) parked += each.parked;
  return parked;
}

/**
 * Notes who is held back now: one that was passed over long ago may be still. Forgets flows of which nothing waits. Returns how many
 * tasks are not ready.
 */
function lookAtGates(context: BacklogContext): number {
  const { clock, heldBackAt } = context;
  const now = clock.monotonic();
  const waits = new Set<string>();
  let heldBack = 0;
  for (const { flow, tasks } of waitingFlows(context)) {
    const key = flowKey(flow);
    if (waits.size < flowsAskedMax && gatesRoom(context, flow) === 0) heldBackAt.set(key, now);
    waits.add(key);
    if (now - (heldBackAt.get(key) ?? Number.NEGATIVE_INFINITY) < heldBackForMs) heldBack += tasks;
  }
  for (const key of heldBackAt.keys()) if (!waits.has(key)) heldBackAt.delete(key);
  return heldBack;
}

/** With how many tasks, in memory and parked. */
function* waitingFlows({
  order,
  overflown,
}: BacklogContext): Iterable<{ readonly flow: Flow; readonly tasks: number }> {
  for (const { flow, size } of order.flows())
    yield { flow, tasks: size + (overflown.size > 0 ? (overflown.get(flowKey(flow))?.parked ?? 0) : 0) };
  for (const { flow, parked } of overflown.values()) if (order.sizeOf(flow) === 0) yield { flow, tasks: parked };
}
