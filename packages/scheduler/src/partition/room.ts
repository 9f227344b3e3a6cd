// What the agents of a flow's shard may be given now, as one partition sees it: only those that it is attached to count.
// Asked for every flow that waits, after every batch: loops instead of closures, which would take ten times as long here.
import type { FunctionRecord } from "@sluice/store";
import type { AgentLink } from "../agents/link.ts";
import { type Placing, roomFor } from "../agents/place.ts";
import { growEveryMs } from "../agents/shards.ts";
import type { PartitionContext } from "./context.ts";

/** Attempts of the flow that its shard has room for, `max` at most. A shard that is full may grow, one that is too large shrinks. */
export function shardRoom(context: PartitionContext, flowKey: string, placing: Placing, max: number): number {
  const { shards, key } = context;
  const shard = shards.of(flowKey);
  const room = roomIn(shard.links, key, placing, max);
  if (room > 0) {
    if (shard.mayShrink) shards.ease(flowKey, shrinking(key, placing));
    return room;
  }
  // Agents that are away with attempts of the flow may be so because of them: others must not follow before that is known.
  if (!shard.mayGrow || shard.links.some((link) => isAwayWith(link, placing.revision))) return 0;
  const growth = shards.grow(flowKey, (link) => roomOn(link, key, placing) > 0);
  if (growth === "later") context.growsAt = Math.min(context.growsAt, context.clock.monotonic() + growEveryMs);
  return growth === "grown" ? roomIn(shards.of(flowKey).links, key, placing, max) : 0;
}

/** Attempts that all agents together may be given now, `max` at most. */
export function freeUpTo(max: number, { agents, key }: PartitionContext): number {
  let free = 0;
  for (const link of agents.links) {
    if (link.isAttached(key)) free += link.free;
    if (free >= max) return max;
  }
  return free;
}

export function placingOf({ pace }: PartitionContext, { revision, settings }: FunctionRecord): Placing {
  const { instanceConcurrency, instancesMax, memoryMb } = settings;
  return { revision, instanceConcurrency, instancesMax, memoryMb, aheadFactor: pace.aheadFactor(revision) };
}

function roomIn(links: readonly AgentLink[], key: string, placing: Placing, max: number): number {
  let room = 0;
  for (const link of links) {
    room += roomOn(link, key, placing);
    if (room >= max) return max;
  }
  return room;
}

function roomOn(link: AgentLink, key: string, placing: Placing): number {
  return link.isAttached(key) ? roomFor(link, placing) : 0;
}

function isAwayWith(link: AgentLink, revision: number): boolean {
  return (!link.isOpen || link.fenced) && link.usedOfRevision.has(revision);
}

function shrinking(key: string, placing: Placing) {
  return {
    roomOf: (link: AgentLink) => roomOn(link, key, placing),
    usedOf: (link: AgentLink) => link.usedOfRevision.get(placing.revision) ?? 0,
  };
}
