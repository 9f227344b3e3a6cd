// Limits that hold in the whole cluster, enforced by the owner of the one lane in which a limited flow lies.
//
// - Concurrency: what is picked, dispatched, or ended and not settled here, and what still runs elsewhere from before (`homes.ts`).
// - Rate: a token bucket, which starts empty, because nobody knows what the last owner took.
// - Reserved concurrency: what an account leaves to its functions that have less running than is kept for them.
// While an agent has not answered a new owner nothing of a limited flow is started: it may be running some.
//
// `room` looks at what was read last and keeps rows from being read in vain; `admits` decides, with what was read just now.
// A token is taken when its attempt is sent, so that none are closer than the rate allows, however long rows take to be read. But a
// small bucket would be full, and get nothing more, while they are: so a row is read as much ahead of its token as that takes.
// Each token is for one row: those for which rows are being read are not there for the other flows of their account.
import {
  type AccountId,
  capacityOf,
  covers,
  emptyBucket,
  type Flow,
  type Home,
  nextTokenInMs,
  refilled,
  type TokenBucket,
  taken,
  tokensOf,
} from "@sluice/core";
import { ageMaxMs, usableMs } from "../../functions.ts";
import type { Gate, GatedFlow, Others } from "../gates.ts";
import type { FlowLimits, Limit } from "../limits.ts";
import type { ActiveTask } from "../memory.ts";
import { keptForOthers, type Reserved } from "../reserved.ts";

export interface LimitsGateDeps {
  /** Monotonic. */
  readonly now: () => number;
  readonly queue: string;
  readonly prefix: string;
  /** As they were read last; undefined: the function or its account is not remembered. */
  readonly limitsOf: (flow: GatedFlow) => FlowLimits | undefined;
  readonly activeOf: (flowKey: string) => number;
  readonly activeOfAccount: (accountId: string) => number;
  /** What is kept for functions of the account; undefined: it was not read so lately. */
  readonly reservedOf: (accountId: AccountId, youngerThanMs: number) => Reserved | undefined;
  /** Infinity: not known yet. */
  readonly runningElsewhere: (flow: Flow, limits: FlowLimits, home: Home) => number;
  /** Whether every agent has answered, or is dead, since the take-over, and it is known which flows have queues of their own. */
  readonly allAnswered: () => boolean;
}

const nothingReserved: Reserved = new Map();

/** Buckets that are remembered; beyond it the one that was made first starts empty again. */
const bucketsMax = 100_000;

/** What a read takes is believed at once if it was less, and by this share if it was more: too early, it is made in vain. */
const slowerShare = 1 / 16;

interface RoomFacts {
  /** Attempts that count already. */
  readonly others: Others;
  /** Of its account. */
  readonly reserved: Reserved;
  readonly tokensOf: (limit: Limit) => number;
}

export function limitsGate(deps: LimitsGateDeps): Gate {
  const buckets = new Map<string, TokenBucket>();
  /** Flows that wait for a token, and when it comes. */
  const waits = new Map<string, { readonly flow: Flow; readonly at: number }>();
  let firstAt = Number.POSITIVE_INFINITY;
  /** Attempts that took tokens, and of which limits. */
  const takers = new WeakMap<ActiveTask, readonly Limit[]>();
  /** By limit, attempts whose rows are being read for its tokens, and of which nothing was decided. */
  const picked = new Map<string, Set<ActiveTask>>();
  const pickedFor = new WeakMap<ActiveTask, readonly Limit[]>();
  /** Of the rows that are being read; undefined: it is known what that took. */
  let pickedAt: number | undefined;
  /** From the pick to the sending, as a rule at least; undefined: not known yet. */
  let readMs: number | undefined;

  const isHere = ({ home }: FlowLimits): boolean =>
    home !== undefined && home.queue === deps.queue && covers(deps.prefix, home.lane);

  const isAtHome = ({ origin }: GatedFlow, known: FlowLimits): boolean =>
    isHere(known) && origin.lane === known.home?.lane;

  function bucketOf(limit: Limit): TokenBucket {
    const key = keyOf(limit);
    const now = deps.now();
    const bucket = refilled(buckets.get(key) ?? emptyBucket(now), limit, now);
    buckets.set(key, bucket);
    const [oldest] = buckets;
    if (oldest && buckets.size > bucketsMax) buckets.delete(oldest[0]);
    return bucket;
  }

  /** How long before its token a row may be picked; a bucket that does not get full meanwhile loses nothing by waiting. */
  function aheadMs(limit: Limit): number {
    const ms = readMs ?? 0;
    return capacityOf(limit) < 2 + (ms * limit.rateMax) / 1_000 ? ms : 0;
  }

  function learnReadMs(): void {
    if (pickedAt === undefined) return;
    const ms = deps.now() - pickedAt;
    pickedAt = undefined;
    readMs = readMs === undefined || ms < readMs ? ms : readMs + (ms - readMs) * slowerShare;
  }

  function waitForToken({ origin, flowKey }: GatedFlow, at: number): void {
    const { accountId, functionName } = origin;
    waits.set(flowKey, { flow: { accountId, functionName }, at });
    firstAt = Math.min(firstAt, at);
  }

  /** Tokens that there will be in so many ms, but for as many as others are to take. */
  function tokensIn(ms: number, flow: GatedFlow, limit: Limit, forOthers = 0): number {
    const bucket = bucketOf(limit);
    const tokens = tokensOf(refilled(bucket, limit, bucket.at + ms)) - forOthers;
    if (tokens <= 0)
      waitForToken(flow, bucket.at + nextTokenInMs(taken(bucket, limit, forOthers), limit) - aheadMs(limit));
    return tokens;
  }

  function countPicked(limit: Limit): number {
    const tasks = picked.get(keyOf(limit));
    if (tasks === undefined) return 0;
    // Of one that an agent turns out to have nothing is decided here.
    for (const task of tasks) if (task.state !== "reading") tasks.delete(task);
    return tasks.size;
  }

  function decide(task: ActiveTask): void {
    for (const limit of pickedFor.get(task) ?? []) {
      const key = keyOf(limit);
      const tasks = picked.get(key);
      tasks?.delete(task);
      if (tasks?.size === 0) picked.delete(key);
    }
    pickedFor.delete(task);
  }

  function roomOf(flow: GatedFlow, known: FlowLimits, { others, reserved, ...facts }: RoomFacts): number {
    if (known.home === undefined || !deps.allAnswered()) return 0;
    const elsewhere = deps.runningElsewhere(flow.origin, known, known.home);
    if (elsewhere === Number.POSITIVE_INFINITY) return 0;
    let room = Number.POSITIVE_INFINITY;
    for (const limit of known.limits) {
      const { scope, concurrencyMax } = limit;
      const count = scope === "flow" ? others.ofFlow : others.ofAccount;
      if (concurrencyMax > 0) {
        const kept =
          scope === "account" ? keptForOthers(flow.flowKey, { reserved, concurrencyMax }, others.activeOf) : 0;
        room = Math.min(room, concurrencyMax - count - elsewhere - kept);
      }
      if (limit.rateMax > 0) room = Math.min(room, facts.tokensOf(limit));
    }
    return room;
  }

  return {
    room(flow) {
      const known = deps.limitsOf(flow);
      // Rows of a home that is elsewhere are read in order to be moved there.
      if (known === undefined || !isAtHome(flow, known)) return Number.POSITIVE_INFINITY;
      const { accountId } = flow.origin;
      const others = { ofFlow: flow.active, ofAccount: deps.activeOfAccount(accountId), activeOf: deps.activeOf };
      // What is too old is not heeded: its account may have nothing running, and is read again for those that are picked.
      const reserved = deps.reservedOf(accountId, ageMaxMs) ?? nothingReserved;
      return roomOf(flow, known, {
        others,
        reserved,
        tokensOf: (limit) => tokensIn(aheadMs(limit), flow, limit, countPicked(limit)),
      });
    },
    onPicked(flow, task) {
      pickedAt = deps.now();
      const known = deps.limitsOf(flow);
      if (known === undefined || !isAtHome(flow, known)) return;
      const rates = known.limits.filter(({ rateMax }) => rateMax > 0);
      for (const limit of rates) {
        const key = keyOf(limit);
        const tasks = picked.get(key);
        if (tasks) tasks.add(task);
        else picked.set(key, new Set([task]));
      }
      if (rates.length > 0) pickedFor.set(task, rates);
    },
    admits(flow, task, others) {
      decide(task);
      const known = deps.limitsOf(flow);
      if (known === undefined) return false;
      if (known.home === undefined) return true;
      const isReservable = known.limits.some(({ scope, concurrencyMax }) => scope === "account" && concurrencyMax > 0);
      const reserved = isReservable ? deps.reservedOf(flow.origin.accountId, usableMs) : nothingReserved;
      if (reserved === undefined) return false;
      const rates = known.limits.filter(({ rateMax }) => rateMax > 0);
      if (rates.length > 0) learnReadMs();
      const facts = { others, reserved, tokensOf: (limit: Limit) => tokensIn(0, flow, limit) };
      if (!isHere(known) || roomOf(flow, known, facts) <= 0) return false;
      for (const limit of rates) {
        buckets.set(keyOf(limit), taken(bucketOf(limit), limit, 1));
        // The loop passes a flow without room over for a while, but for those of which it is told that they have some: now, if
        // the read took long enough for another token.
        if (tokensIn(0, flow, limit) > 0) waitForToken(flow, deps.now());
      }
      if (rates.length > 0) takers.set(task, rates);
      return true;
    },
    onReleased(task) {
      decide(task);
      // One that was sent may have been counted by what it calls, whatever the agent says of it.
      if (task.state === "reading")
        for (const limit of takers.get(task) ?? []) buckets.set(keyOf(limit), taken(bucketOf(limit), limit, -1));
      takers.delete(task);
    },
    onEnded: decide,
    dueAt: () => firstAt,
    due() {
      const now = deps.now();
      if (now < firstAt) return [];
      const ready: Flow[] = [];
      firstAt = Number.POSITIVE_INFINITY;
      for (const [key, { flow, at }] of waits) {
        if (at > now) {
          firstAt = Math.min(firstAt, at);
          continue;
        }
        waits.delete(key);
        ready.push(flow);
      }
      return ready;
    },
  };
}

function keyOf({ scope, key }: Limit): string {
  return `${scope} ${key}`;
}
