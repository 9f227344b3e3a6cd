// Whose submissions to a queue are refused, and how many of them. Pure.
//
// A backlog may be old, held back by a limit, a pause, or for want of agents, and is then not the doing of all who submit now.
// So whoever has less waiting than its part of the reference, also in a second, is not refused: all of them together cannot
// fill more than the reference, and what works off the backlog is taken from those who have it.

import type { Drop } from "@sluice/coordination";
import {
  type AccountId,
  admissibleRate,
  backlogReference,
  defaultThrottleConfig,
  type FunctionName,
  fairShares,
  isThrottled,
  type QueuePressure,
  type ThrottleConfig,
  uniformDrop,
} from "@sluice/core";

export interface QueueArrivals {
  /** Submissions per second of everybody, refused ones too. */
  readonly total: number;
  /** Those that are known by name; the rest of the total are small ones. */
  readonly accounts: readonly AccountArrivals[];
}

export interface AccountArrivals {
  readonly accountId: AccountId;
  readonly perSecond: number;
  /** Of those of its functions that are known; the others submit the rest of `perSecond`. */
  readonly functions: readonly { readonly functionName: FunctionName; readonly perSecond: number }[];
  /** Its tasks that are not final; undefined: not known. */
  readonly waiting: number | undefined;
  /** Its share relative to the others; default 1. */
  readonly weight?: number;
}

export interface SolveConfig extends ThrottleConfig {
  /**
   * One account that submits to a queue almost alone may let so many tasks wait there before it is throttled: there is nobody
   * whom it could hurt. Default 1,000,000: all that an account may have.
   */
  readonly aloneBacklogMin: number;
  /** Almost alone: the others submit less than this share. Default 0.01. */
  readonly aloneShare: number;
  /** Of one account so many functions are named, its loudest; what is refused of the others is refused of all alike. Default 8. */
  readonly functionsMax: number;
}

export interface QueueVerdict {
  readonly isThrottled: boolean;
  readonly drops: readonly Drop[];
  /** The probability to refuse anybody who has no drop of his own. */
  readonly othersDrop: number;
}

const open: QueueVerdict = { isThrottled: false, drops: [], othersDrop: 0 };

export const defaultSolveConfig: SolveConfig = {
  ...defaultThrottleConfig,
  aloneBacklogMin: 1_000_000,
  aloneShare: 0.01,
  functionsMax: 8,
};

export function judgeQueue(queue: string, facts: QueueFacts, config: SolveConfig): QueueVerdict {
  if (!isFull(facts, config)) return open;
  const { pressure, arrivals } = facts;
  const limits = limitsOf(arrivals, config);
  const admissible = admissibleRate(pressure, limits);
  const weights = arrivals.accounts.reduce((sum, account) => sum + weightOf(account), 0);
  const perWeight = backlogReference(pressure, limits) / Math.max(1, weights);
  const isOffender = (account: AccountArrivals) =>
    account.waiting === undefined || account.waiting + account.perSecond > weightOf(account) * perWeight;
  const offenders = arrivals.accounts.filter(isOffender);
  const { dropMax } = config;
  const demands = offenders.map((account) => ({ rate: account.perSecond, weight: weightOf(account) }));
  const { share, drops } = fairShares(demands, { admissible, others: restOf(arrivals, offenders), dropMax });
  const small = restOf(arrivals, arrivals.accounts);
  const othersDrop = uniformDrop(small, Math.max(admissible, pressure.drainPerSecond), dropMax);
  const spared = othersDrop > 0 ? arrivals.accounts.filter((account) => !isOffender(account)) : [];
  return {
    isThrottled: true,
    drops: [
      ...offenders.flatMap((account, index) =>
        dropsOf(queue, account, { share: weightOf(account) * share, drop: drops[index] ?? 0, config }),
      ),
      ...spared.map(({ accountId, perSecond }) => spare(queue, accountId, perSecond)),
    ],
    othersDrop,
  };
}
export interface QueueFacts {
  readonly wasThrottled: boolean;
  readonly pressure: QueuePressure;
  readonly arrivals: QueueArrivals;
}

/** Whether a share is refused of what is submitted; only then do the weights of accounts matter. */
export function isFull({ wasThrottled, pressure, arrivals }: QueueFacts, config: SolveConfig): boolean {
  return isThrottled(wasThrottled, pressure, limitsOf(arrivals, config));
}

function limitsOf({ total, accounts }: QueueArrivals, config: SolveConfig): SolveConfig {
  const largest = Math.max(0, ...accounts.map(({ perSecond }) => perSecond));
  const isAlone = total - largest < config.aloneShare * total;
  return isAlone ? { ...config, backlogMin: Math.max(config.backlogMin, config.aloneBacklogMin) } : config;
}

function weightOf({ weight = 1 }: AccountArrivals): number {
  return weight;
}

/** Says by name that it is not one of the small ones that are refused alike. */
function spare(queue: string, accountId: AccountId, rate: number): Drop {
  return { accountId, functionName: undefined, queue, probability: 0, share: rate, rate };
}

/** Submissions per second of all others. */
function restOf({ total }: QueueArrivals, accounts: readonly AccountArrivals[]): number {
  return Math.max(0, total - accounts.reduce((sum, { perSecond }) => sum + perSecond, 0));
}

/**
 * Inside an account that is refused, its share is divided in the same way among its functions. Those that are not named count as
 * functions that are all as large as the smallest that is named, so no less is refused of one that is named than of these.
 */
function dropsOf(queue: string, account: AccountArrivals, { share, drop, config }: Refused): Drop[] {
  const { accountId, perSecond } = account;
  if (drop <= 0) return [];
  const loudest = account.functions.filter(({ perSecond: rate }) => rate > 0).sort((a, b) => b.perSecond - a.perSecond);
  const named = loudest.slice(0, config.functionsMax);
  const smallest = named.at(-1)?.perSecond;
  const others = named.reduce((rest, { perSecond: rate }) => rest - rate, perSecond);
  const ofAccount = (probability: number): Drop => {
    return { accountId, functionName: undefined, queue, probability, share, rate: perSecond };
  };
  if (smallest === undefined || (named.length === 1 && others <= 0)) return [ofAccount(drop)];
  const demands = named.map(({ perSecond: rate }) => ({ rate, weight: 1 }));
  const all = { rate: Math.max(0, others), weight: Math.max(1, others / smallest) };
  const inner = fairShares([all, ...demands], { admissible: share, others: 0, dropMax: config.dropMax });
  const [othersDrop = 0, ...drops] = inner.drops;
  const louder = named.flatMap(({ functionName, perSecond: rate }, index): Drop[] => {
    const probability = drops[index] ?? 0;
    return probability > othersDrop ? [{ accountId, functionName, queue, probability, share: inner.share, rate }] : [];
  });
  return othersDrop > 0 ? [ofAccount(othersDrop), ...louder] : louder;
}
interface Refused {
  readonly share: number;
  readonly drop: number;
  readonly config: SolveConfig;
}
