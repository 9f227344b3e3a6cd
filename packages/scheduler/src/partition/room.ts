// What the agents of a flow's shard may be given now, as one partition sees it: only those that it is attached to count.
import type { FunctionRecord } from "@sluice/store";
import type { AgentLink } from "../agents/link.ts";
import { type Placing, roomFor } from "../agents/place.ts";
import { growEveryMs } from "../agents/shards.ts";
import type { PartitionContext } from "./context.ts";

/** Attempts of the flow that its shard has room for, `max` at most. A shard that is full may grow, one that is too large shrinks. */
export function shardRoom(context: PartitionContext, flowKey: string, placing: Placing, max: number): number {
  const { shards, key } = context;
  const roomOf = (link: AgentLink) => (link.isAttached(key) ? roomFor(link, placing) : 0);
  const sum = () => sumUpTo(max, shards.of(flowKey).links, roomOf);
  const room = sum();
  if (room > 0) {
    shards.ease(flowKey, { roomOf, usedOf: (link) => link.usedOfRevision.get(placing.revision) ?? 0 });
    return room;
  }
  const growth = shards.grow(flowKey, (link) => roomOf(link) > 0);
  if (growth === "later") context.growsAt = Math.min(context.growsAt, context.clock.monotonic() + growEveryMs);
  return growth === "grown" ? sum() : 0;
}

/** Attempts that all agents together may be given now, `max` at most. */
export function freeUpTo(max: number, { agents, key }: PartitionContext): number {
  return sumUpTo(max, agents.links, (link) => (link.isAttached(key) ? link.free : 0));
}

export function placingOf({ pace }: PartitionContext, { revision, settings }: FunctionRecord): Placing {
  const { instanceConcurrency, instancesMax, memoryMb } = settings;
  return { revision, instanceConcurrency, instancesMax, memoryMb, aheadFactor: pace.aheadFactor(revision) };
}

function sumUpTo<T>(max: number, items: readonly T[], of: (item: T) => number): number {
  let sum = 0;
  for (const item of items) {
    sum += of(item);
    if (sum >= max) return max;
  }
  return sum;
}
