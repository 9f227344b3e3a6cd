// What the leader changes, as events that are written along with it.
import {
  type ClusterEvent,
  type Condition,
  type Coordinator,
  type Member,
  pruneEvents,
  type Wish,
} from "@sluice/coordination";
import { type Clock, type EpochMs, halvesOf } from "@sluice/core";
import type { LoadBalancerMetrics } from "./metrics.ts";
import type { Reshape } from "./reshape.ts";

/** The list is cut after so long, and after so many events. */
const pruneEveryMs = 60_000;
const pruneAfterEvents = 250;

export interface EventBook {
  /** They were written along with their change. */
  count(events: readonly ClusterEvent[]): void;
  /** Of the leader, in each of its rounds: keeps the list short. */
  round(leadership: Condition): Promise<void>;
}

export function createEventBook(deps: {
  readonly coordinator: Coordinator;
  readonly clock: Clock;
  readonly metrics: LoadBalancerMetrics;
}): EventBook {
  const { coordinator, clock, metrics } = deps;
  let prunedAt = Number.NEGATIVE_INFINITY;
  let written = 0;
  return {
    count(events) {
      written += events.length;
      for (const { kind, reason } of events) metrics.events.inc({ kind, reason });
    },
    async round(leadership) {
      const now = clock.monotonic();
      if (now - prunedAt < pruneEveryMs && written < pruneAfterEvents) return;
      prunedAt = now;
      written = 0;
      await pruneEvents(coordinator, clock.now(), [leadership]);
    },
  };
}

/** Partitions that get another owner because of who is there. What had none is no event: there is nobody who gives. */
export function eventsOfPlan(
  before: Wish | undefined,
  after: Wish,
  { members, now }: { readonly members: readonly Member[]; readonly now: EpochMs },
): ClusterEvent[] {
  const memberOf = new Map(members.map((member) => [member.id, member]));
  return after.partitions.flatMap(({ prefix, ownerId }): ClusterEvent[] => {
    const from = before?.partitions.find((partition) => partition.prefix === prefix)?.ownerId;
    if (from === undefined || from === ownerId) return [];
    const giver = memberOf.get(from);
    const reason = giver === undefined ? "gone" : giver.isDraining ? "leaving" : "evenness";
    return [{ at: now, kind: "move", reason, figures: {}, queue: after.queue, prefix, from, to: ownerId }];
  });
}

/** `before`: the wish that was changed. */
export function eventOfReshape(
  { kind, prefix, wish, why }: Reshape,
  before: Wish | undefined,
  now: EpochMs,
): ClusterEvent {
  return {
    ...{ at: now, kind, reason: why.rule, figures: why.figures, queue: wish.queue, prefix },
    ...ownersOf(kind, prefix, before, wish),
  };
}

/** Who gives and who gets. Of a split: who keeps the lower half; of a merge: who had the other half. */
function ownersOf(kind: Reshape["kind"], prefix: string, before: Wish | undefined, after: Wish) {
  const ownerIn = (wish: Wish | undefined, name: string | undefined) =>
    wish?.partitions.find((partition) => partition.prefix === name)?.ownerId ?? "";
  const [lower, upper] = halvesOf(prefix) ?? [];
  if (kind === "split") return { from: ownerIn(before, prefix), to: ownerIn(after, upper) };
  const to = ownerIn(after, prefix);
  if (kind === "move") return { from: ownerIn(before, prefix), to };
  const [first, second] = [ownerIn(before, lower), ownerIn(before, upper)];
  return { from: first === to ? second : first, to };
}
