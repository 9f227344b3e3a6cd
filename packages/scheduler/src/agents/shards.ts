// Which agents a flow may use: its shard, the first few of all in an order of its own (rendezvous hashing). Flows that wedge
// or kill their agents so leave other flows most of theirs. The order depends on the flow and the agents alone, so every
// scheduler has the same one; the size is all that a scheduler remembers.
//
//   start size ──no room in it for a while, tasks wait, others have some──▶ doubled, and so on, up to all
//       ▲                                                                    │
//       └──────────half of it would do, for `quietMs` each───────────────────┘
//
// A flow whose attempts were lost with their agents may be what kills them. For `chargedMs` its shard does not grow, and the
// agents that it lost keep their places in it until they are back: nobody else takes them, so within that time it reaches
// no more agents than its shard has, however many tasks of it wait. A cluster of a few agents has no shards.
import { type AgentShards, type Clock, createAgentShards, startShardSize } from "@sluice/core";
import type { AgentLink } from "./link.ts";
import { Recent } from "./recent.ts";

/** What the shards of a scheduler hold; here and in tests. */
export interface ShardMember {
  readonly agentId: string;
}

export interface Shard<T extends ShardMember = AgentLink> {
  /** The preferred one first. */
  readonly links: readonly T[];
  /** Those of the start size: where a task goes that was lost with an agent before. */
  readonly first: readonly T[];
  /** There are agents beyond it. */
  readonly mayGrow: boolean;
  /** It has grown. */
  readonly mayShrink: boolean;
}

export interface Shards<T extends ShardMember = AgentLink> {
  of(flowKey: string): Shard<T>;
  /**
   * Nobody in the shard has room. `grown`: to at least the nearest agent that has some. `later`: it has not been so for long,
   * or has grown a moment ago. `no`: it is charged, or nobody else has room either.
   */
  grow(flowKey: string, hasRoom: (link: T) => boolean): "grown" | "later" | "no";
  /** Lets a shard shrink that has been larger than needed for a while. */
  ease(flowKey: string, facts: { roomOf(link: T): number; usedOf(link: T): number }): void;
  /** An attempt was lost with its agent; undefined: nobody knows which one. */
  lost(flowKey: string, agentId: string | undefined): void;
}

export interface ShardsDeps<T extends ShardMember> {
  readonly clock: Clock;
  /** All agents; another array whenever they change. */
  readonly links: () => readonly T[];
  readonly onChange?: (kind: "grown" | "shrunk" | "withheld") => void;
}

/** 300 agents are reached from 18 in a second: a burst may wait so long, and isolation is worth it. */
export const growEveryMs = 200;
/** A shard that is full for a moment, until agents have told what they have room for, is large enough. */
const fullForMs = 100;
/** One that was not full for so long is full anew. */
const fullAgainMs = 1_000;
/** Longer than a pause between two bursts, so that instances stay warm. */
const quietMs = 30_000;
/** Longer than an agent takes to come back, and a task to be tried again. */
const chargedMs = 60_000;
/** Flows of each kind that are remembered at least; about 500 bytes each. */
const flowsMin = 20_000;

interface FlowShard<T extends ShardMember> {
  size: number;
  /** Undefined: agents have changed, or its size. */
  shard: Shard<T> | undefined;
  /** Of the agents that `shard` is of. */
  generation: number;
  /** When it was last asked to grow, monotonic. */
  grownAt: number;
  hasGrown: boolean;
  /** When it began to be full again and again, and was last, monotonic. */
  fullSince: number;
  fullAt: number;
  /** Since when it has been as it is, or was looked at. */
  easedAt: number;
  /** Agents that attempts were lost with, and until when they count, monotonic. */
  lost: Map<string, number> | undefined;
}

export function createShards<T extends ShardMember = AgentLink>(deps: ShardsDeps<T>): Shards<T> {
  const { clock, onChange = () => undefined } = deps;
  /** What must not be forgotten because many others are looked at; of the rest only the work of finding it is lost. */
  const charged = new Recent<FlowShard<T>>(flowsMin);
  const grown = new Recent<FlowShard<T>>(flowsMin);
  const others = new Recent<FlowShard<T>>(flowsMin);
  let links: readonly T[] = [];
  let linkOf = new Map<string, T>();
  let ranks: AgentShards = createAgentShards([]);
  let generation = 0;
  /** A few agents are the shard of everybody: a flow that lost all of the former ones must not wait for them. */
  let everybody: Shard<T> | undefined = allOf(links);

  function followLinks(): void {
    const now = deps.links();
    if (now === links) return;
    links = now;
    everybody = startShardSize(links.length) === links.length ? allOf(links) : undefined;
    linkOf = new Map(links.map((link) => [link.agentId, link]));
    ranks = createAgentShards(linkOf.keys());
    generation++;
  }

  function find(flowKey: string): FlowShard<T> {
    const known = charged.get(flowKey) ?? grown.get(flowKey) ?? others.get(flowKey);
    const never = Number.NEGATIVE_INFINITY;
    const flow: FlowShard<T> = known ?? {
      ...{ size: 0, shard: undefined, generation, grownAt: never, hasGrown: false, fullSince: never, fullAt: never },
      ...{ easedAt: clock.monotonic(), lost: undefined },
    };
    remember(flowKey, flow);
    return flow;
  }

  function remember(flowKey: string, flow: FlowShard<T>): void {
    const kind = forgiveOld(flow) ? charged : flow.size > 0 ? grown : others;
    for (const each of [charged, grown, others]) if (each !== kind) each.delete(flowKey);
    kind.set(flowKey, flow);
  }

  /** A flow that has never grown follows the number of agents. */
  const sizeOf = (flow: FlowShard<T>, agents = links.length) => Math.max(flow.size, startShardSize(agents));

  function shardOf(flowKey: string, flow: FlowShard<T>): Shard<T> {
    forgiveOld(flow);
    if (flow.shard && flow.generation === generation) return flow.shard;
    const kept = placesKept(flow);
    const agents = links.length + kept;
    const members = first(flowKey, Math.max(0, sizeOf(flow, agents) - kept));
    flow.shard = {
      links: members,
      first: members.slice(0, Math.max(0, startShardSize(agents) - kept)),
      mayGrow: sizeOf(flow) < links.length,
      mayShrink: flow.size > 0,
    };
    flow.generation = generation;
    return flow.shard;
  }

  const first = (flowKey: string, size: number): T[] =>
    ranks.first(flowKey, size).map((index) => linkOf.get(ranks.agentIds[index] as string) as T);

  /** Whether it is charged with anything still. */
  function forgiveOld(flow: FlowShard<T>): boolean {
    if (!flow.lost) return false;
    const now = clock.monotonic();
    for (const [agentId, until] of flow.lost) {
      if (until > now) continue;
      flow.lost.delete(agentId);
      flow.shard = undefined;
    }
    if (flow.lost.size === 0) flow.lost = undefined;
    return flow.lost !== undefined;
  }

  /** Of agents that it lost and that are not back. */
  function placesKept({ lost }: FlowShard<T>): number {
    let count = 0;
    for (const agentId of lost?.keys() ?? []) if (agentId !== unknownAgent && !linkOf.has(agentId)) count++;
    return count;
  }

  function resize(flowKey: string, flow: FlowShard<T>, size: number): void {
    flow.size = size;
    flow.shard = undefined;
    flow.easedAt = clock.monotonic();
    remember(flowKey, flow);
  }

  return {
    of(flowKey) {
      followLinks();
      if (everybody) return everybody;
      return shardOf(flowKey, find(flowKey));
    },
    grow(flowKey, hasRoom) {
      followLinks();
      if (everybody) return "no";
      const flow = find(flowKey);
      const size = sizeOf(flow);
      const now = clock.monotonic();
      if (size >= links.length) return "no";
      if (now - flow.fullAt > fullAgainMs) flow.fullSince = now;
      flow.fullAt = now;
      if (now - flow.fullSince < fullForMs) return "later";
      if (now - flow.grownAt < growEveryMs) return flow.hasGrown ? "later" : "no";
      flow.grownAt = now;
      flow.easedAt = now;
      flow.hasGrown = false;
      if (forgiveOld(flow)) {
        onChange("withheld");
        return "no";
      }
      // Sorting costs ten times as much, and nobody has room in a busy hour.
      if (!links.some(hasRoom)) return "no";
      const nearest = first(flowKey, links.length).findIndex((link, index) => index >= size && hasRoom(link));
      if (nearest < 0) return "no";
      resize(flowKey, flow, Math.min(links.length, Math.max(2 * size, nearest + 1)));
      flow.hasGrown = true;
      onChange("grown");
      return "grown";
    },
    ease(flowKey, { roomOf, usedOf }) {
      if (everybody) return;
      const flow = find(flowKey);
      if (flow.size === 0 || clock.monotonic() - flow.easedAt < quietMs) return;
      const { links: members } = shardOf(flowKey, flow);
      const half = Math.max(startShardSize(links.length), Math.ceil(sizeOf(flow) / 2));
      const used = members.slice(half).reduce((sum, link) => sum + usedOf(link), 0);
      // Twice as much room as those that would leave need: else it would grow again at once.
      const room = members.slice(0, half).reduce((sum, link) => sum + roomOf(link), 0);
      flow.easedAt = clock.monotonic();
      if (room < 2 * used || room === 0) return;
      resize(flowKey, flow, half <= startShardSize(links.length) ? 0 : half);
      onChange("shrunk");
    },
    lost(flowKey, agentId = unknownAgent) {
      followLinks();
      const flow = find(flowKey);
      flow.lost ??= new Map();
      // One more would change nothing: no place is left.
      if (flow.lost.size > sizeOf(flow) && !flow.lost.has(agentId)) return;
      flow.lost.set(agentId, clock.monotonic() + chargedMs);
      flow.shard = undefined;
      remember(flowKey, flow);
    },
  };
}

const unknownAgent = "";

function allOf<T extends ShardMember>(links: readonly T[]): Shard<T> {
  return { links, first: links, mayGrow: false, mayShrink: false };
}
