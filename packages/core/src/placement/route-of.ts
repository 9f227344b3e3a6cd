// Where a flow's tasks are written to. An account has two of the shared queues, and uses the shorter one; a flow that was
// given a queue of its own uses that; a limited flow lives in its one lane, whatever the queues are like.
import type { AccountId, Flow } from "../ids.ts";
import { type HomeFacts, homeOf } from "./home.ts";
import type { Lane } from "./partition.ts";
import { sharedQueues } from "./route.ts";
import { queuesOfAccount } from "./shuffle-shard.ts";

export interface RouteFacts extends HomeFacts {
  /** Which of its two queues the account uses now; undefined, or neither of them: the first. */
  readonly preferredQueue?: string | undefined;
}

export interface Route {
  readonly queue: string;
  /** Undefined: any. */
  readonly lane: Lane | undefined;
}

/** Depends on nothing but its arguments: whoever knows the same facts names the same place. */
export function routeOf(flow: Flow, facts: RouteFacts): Route {
  const home = homeOf(flow, facts);
  if (home !== undefined) return home;
  if (facts.dedicatedQueue !== undefined) return { queue: facts.dedicatedQueue, lane: undefined };
  const { preferredQueue, queues = sharedQueues() } = facts;
  const pair = queuesOfAccount(flow.accountId, queues);
  const isOwn = preferredQueue !== undefined && pair.includes(preferredQueue);
  return { queue: isOwn ? preferredQueue : firstQueueOf(flow.accountId, queues), lane: undefined };
}

/** The queue of an account as long as nobody knows how full its two are. */
export function firstQueueOf(accountId: AccountId, queues: readonly string[] = sharedQueues()): string {
  return queuesOfAccount(accountId, queues)[0] as string;
}

/** When an account leaves the queue that it uses for its other one. */
export interface ShorterQueueConfig {
  /** The other one has at most this share of what waits in the one in use. Default 0.5. */
  readonly share: number;
  /** …and so many fewer. Default 200. */
  readonly fewer: number;
}
export const defaultShorterQueueConfig: ShorterQueueConfig = { share: 0.5, fewer: 200 };

/**
 * The queue of the two that an account should use, given how much waits in each. It stays with `inUse` unless the other one is
 * clearly shorter, so that two queues of about the same length are not taken in turns.
 */
export function shorterQueue(
  pair: readonly string[],
  inUse: string,
  waitingIn: (queue: string) => number,
  { share, fewer }: ShorterQueueConfig = defaultShorterQueueConfig,
): string {
  const other = pair.find((queue) => queue !== inUse);
  if (other === undefined) return inUse;
  const [here, there] = [waitingIn(inUse), waitingIn(other)];
  return there <= share * here && here - there >= fewer ? other : inUse;
}
