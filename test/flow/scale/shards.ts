// A million accounts, each with two of the shared queues: how many share both with a noisy one.
import { queuesOfAccount, sharedQueues } from "@sluice/core";

export interface ShardShares {
  readonly queues: number;
  readonly accounts: number;
  /** Of all other accounts: that share both queues with the noisy one, one, none. Means over the noisy ones. */
  readonly both: number;
  readonly one: number;
  readonly none: number;
  /** The largest share of any noisy one that share both. */
  readonly worst: number;
  /** Accounts of the fullest queue, in shares of the mean. */
  readonly fullest: number;
}

const noisyCount = 20;

export function shareShards(accounts: number, queueCount: number): ShardShares {
  const queues = sharedQueues(queueCount);
  const counts = new Map(queues.map((queue) => [queue, 0]));
  const pairs = new Map<string, number>();
  for (let index = 0; index < accounts; index++) {
    const own = queuesOfAccount(`account-${index}`, queues);
    for (const queue of own) counts.set(queue, (counts.get(queue) ?? 0) + 1);
    const pair = pairOf(own);
    pairs.set(pair, (pairs.get(pair) ?? 0) + 1);
  }
  const shares = Array.from({ length: noisyCount }, (_, index) => {
    const own = queuesOfAccount(`noisy-${index}`, queues);
    const both = (pairs.get(pairOf(own)) ?? 0) / accounts;
    // Each account of a queue that is not in both is in exactly one.
    const touched = own.reduce((sum, queue) => sum + (counts.get(queue) ?? 0), 0) / accounts;
    return { both, one: touched - 2 * both };
  });
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const both = mean(shares.map((share) => share.both));
  const one = mean(shares.map((share) => share.one));
  return {
    queues: queueCount,
    accounts,
    both,
    one,
    none: 1 - both - one,
    worst: Math.max(...shares.map((share) => share.both)),
    fullest: Math.max(...counts.values()) / ((2 * accounts) / queueCount),
  };
}

function pairOf(queues: readonly string[]): string {
  return [...queues].sort().join("+");
}
