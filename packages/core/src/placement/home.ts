// Where a limited flow lives. All its tasks lie in one lane, so the owner of that lane enforces the limit alone, from its own
// memory: nobody has to be asked, and splits, merges, hand-offs and failover change nothing about it. An account with limits
// of its own has one home for all of its flows; that one owner drives the whole account is the price.
import { hash32 } from "../hash.ts";
import { type Flow, flowKey } from "../ids.ts";
import { type Lane, laneCount } from "./partition.ts";
import { sharedQueues } from "./route.ts";
import { queuesOfAccount } from "./shuffle-shard.ts";

/** Of a function, or of an account as a whole. */
export interface Limits {
  /** Attempts at the same time in the whole cluster; 0: no limit. */
  readonly concurrencyMax: number;
  /** Attempts that start per second in the whole cluster; 0: no limit. */
  readonly rateMax: number;
}

export interface Home {
  readonly queue: string;
  readonly lane: Lane;
}

/** What the home follows from. */
export interface HomeFacts {
  readonly function: Limits;
  /** Undefined: the account has no settings. */
  readonly account: Limits | undefined;
  /** The queue of the flow's own route; undefined: it has none. It does not count when the account is limited. */
  readonly dedicatedQueue?: string | undefined;
  /** Shared queues; default: `q0` to `q7`. */
  readonly queues?: readonly string[];
}

export function isLimited(limits: Limits | undefined): boolean {
  return limits !== undefined && (limits.concurrencyMax > 0 || limits.rateMax > 0);
}

/**
 * The one lane of a limited flow; undefined: the flow is not limited, and may lie anywhere. Every process must agree, so it
 * depends on nothing but its arguments.
 */
export function homeOf(flow: Flow, facts: HomeFacts): Home | undefined {
  const { accountId } = flow;
  const shared = () => queuesOfAccount(accountId, facts.queues ?? sharedQueues())[0] as string;
  if (isLimited(facts.account)) return { queue: shared(), lane: laneOf(accountId) };
  if (!isLimited(facts.function)) return undefined;
  return { queue: facts.dedicatedQueue ?? shared(), lane: laneOf(flowKey(flow)) };
}

function laneOf(key: string): Lane {
  return hash32(key) % laneCount;
}
