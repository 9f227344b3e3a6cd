import { combine, hash32 } from "../hash.ts";

/** The shards of many keys over one set of agents; the same answers as `shardOf`, whose hashes of the agents are kept. */
export interface AgentShards {
  readonly agentIds: readonly string[];
  /** Indices into `agentIds` of the `size` agents of the key, the preferred one first. A longer answer begins with a shorter one. */
  first(key: string, size: number): readonly number[];
}

/** Below this part of the agents the first few are selected; above it all are sorted. */
const selectedPartMax = 0.1;
/** Scores have 32 bits; with 21 bits for the index they still fit into a double. */
const agentsMax = 2 ** 21;

/**
 * An agent that comes or goes may move the shards of thousands of flows: selecting 18 of 300 takes a fortieth, and sorting
 * all of them a tenth, of the time of `shardOf`.
 */
export function createAgentShards(ids: Iterable<string>): AgentShards {
  // Of equal scores the smaller id comes first, so that the index can break ties.
  const agentIds = [...ids].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0)).slice(0, agentsMax);
  const hashes = agentIds.map(hash32);
  const last = agentIds.length - 1;
  const scores = new Float64Array(agentIds.length);
  const indexOf = (score: number) => last - (score % agentsMax);
  return {
    agentIds,
    first(key, size) {
      const keyHash = hash32(key);
      for (let index = 0; index <= last; index++) {
        scores[index] = combine(keyHash, hashes[index] as number) * agentsMax + last - index;
      }
      const count = Math.min(Math.max(0, size), agentIds.length);
      const highest = count <= agentIds.length * selectedPartMax ? select(scores, count) : scores.toSorted().reverse();
      return Array.from(highest.subarray(0, count), indexOf);
    },
  };
}

/** The highest, in descending order. */
function select(scores: Float64Array, count: number): Float64Array {
  const highest = new Float64Array(count).fill(-1);
  for (const score of scores) {
    if (score <= (highest[count - 1] ?? Number.POSITIVE_INFINITY)) continue;
    let place = count - 1;
    for (; place > 0 && (highest[place - 1] as number) < score; place--) highest[place] = highest[place - 1] as number;
    highest[place] = score;
  }
  return highest;
}

/**
 * Agents of a flow that does not need more: the root of all, so that two flows rarely share their shards, but enough to
 * outlive one or two of them. A small cluster has no shards.
 */
export function startShardSize(agents: number): number {
  return Math.min(agents, Math.max(startSizeMin, Math.ceil(Math.sqrt(agents))));
}

const startSizeMin = 4;
