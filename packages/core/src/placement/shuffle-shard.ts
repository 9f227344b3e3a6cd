import { combine, hash32 } from "../hash.ts";

/**
 * The `size` agents that may run a flow's tasks, the preferred one first; all of them if there are no more. Rendezvous hashing:
 * the answer depends on the key and the set alone, and an agent that comes or goes changes at most one place. Two flows
 * rarely share a whole shard, so one that wedges its agents leaves others some.
 */
export function shardOf(key: string, agentIds: readonly string[], size: number): readonly string[] {
  const keyHash = hash32(key);
  return agentIds
    .map((id) => ({ id, score: combine(keyHash, hash32(id)) }))
    .sort((a, b) => b.score - a.score || (a.id < b.id ? -1 : 1))
    .slice(0, Math.max(0, size))
    .map(({ id }) => id);
}

/** The queues that an account may use, the preferred one first: 2 of N, so that few accounts share both with a noisy one. */
export function queuesOfAccount(accountId: string, queues: readonly string[]): readonly string[] {
  return shardOf(accountId, queues, 2);
}
