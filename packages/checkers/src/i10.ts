// I10: limits hold in the whole cluster. When an attempt starts, no more run of its flow, or of its account, than the limit
// allows; and in no window more are sent than the burst and what the rate gives for its length. Of the limit of an account a
// function leaves to the others what they have reserved and do not use.
//
// A limit that was changed counts after `graceMs`: owners use a record for 12 s, and what was sent by the old one is on its way.
// Until then the higher one counts, and no limit is the highest. Attempts that run already when a limit is lowered go on; but
// they count, so nothing starts until there are fewer.
import type { Task } from "@sluice/core";
import { createChecker } from "./checker.ts";
import type { Execution, Inserted, LimitSet, Sent, StoreEvent, Violation } from "./history.ts";
import { describeExecution } from "./history.ts";
import { groupBy, insertsOf } from "./rows.ts";

const invariant = "I10";

/** 12 s, and what an attempt may take on its way and at its agent before it starts. */
const graceMs = 20_000;
/** Attempts are sent in frames, and clocks go wrong by 2 %: so much of a window may be missing. */
const windowSlackMs = 100;
const clockShare = 1.04;

export const i10 = createChecker({
  invariant,
  about: "No more attempts of a function or an account run, or are sent per second, than its limits allow.",
  needs: ["executions", "rows", "limits"],
  check: ({ executions, rows, store = [], limits, sends = [] }) => {
    const flows = flowsOf(rows, store);
    const inTurn = [...executions].sort((a, b) => a.startedAt - b.startedAt);
    const reservations = reservationsOf(limits);
    return [...groupBy(limits, scopeOf)].flatMap(([scope, sets]) => {
      const isOf = ({ seq }: { readonly seq: number }) => isIn(flows.get(seq), sets[0] as LimitSet);
      const history = new LimitHistory(sets);
      const ofScope = inTurn.filter(isOf);
      const kept = reservations.get(scope);
      const nameOf = ({ seq }: Execution) => flows.get(seq)?.function ?? "";
      return [
        ...tooMany(scope, ofScope, history),
        ...(kept ? tookReserved({ account: scope, executions: ofScope, nameOf, limits: history, kept }) : []),
        ...tooFast(scope, sends.filter(isOf), history),
      ];
    });
  },
});

function scopeOf({ account, function: name }: LimitSet): string {
  return name === undefined ? account : `${account}/${name}`;
}

type Flow = Pick<Inserted, "account" | "function">;

/** Whose each task is, by its number; also of rows that are gone since, where the store was watched. */
function flowsOf(rows: readonly Task[], store: readonly StoreEvent[]): ReadonlyMap<number, Flow> {
  const left = rows.map(({ seq, accountId, functionName }) => {
    return [seq, { account: accountId, function: functionName }] as const;
  });
  return new Map<number, Flow>([...left, ...insertsOf(store)]);
}

function isIn(row: Flow | undefined, { account, function: name }: LimitSet): boolean {
  return row?.account === account && (name === undefined || row.function === name);
}

class LimitHistory {
  readonly #sets: readonly LimitSet[];

  constructor(sets: readonly LimitSet[]) {
    this.#sets = [...sets].sort((a, b) => a.at - b.at);
  }

  /** The highest concurrency that was allowed in the time of grace before; Infinity: any. */
  concurrencyAt(at: number): number {
    const values = this.#inForce(at - graceMs, at).map(({ concurrencyMax }) => concurrencyMax);
    return values.length === 0 || values.includes(0) ? Number.POSITIVE_INFINITY : Math.max(...values);
  }

  /** The least that was allowed; Infinity: any. */
  leastConcurrencyAt(at: number): number {
    const values = this.#inForce(at - graceMs, at).map(
      ({ concurrencyMax }) => concurrencyMax || Number.POSITIVE_INFINITY,
    );
    return Math.min(Number.POSITIVE_INFINITY, ...values);
  }

  /** The least that was reserved in the time of grace before. */
  reservedAt(at: number): number {
    const values = this.#inForce(at - graceMs, at).map(({ concurrencyReserved = 0, concurrencyMax }) =>
      concurrencyMax > 0 ? Math.min(concurrencyReserved, concurrencyMax) : concurrencyReserved,
    );
    return values.length === 0 ? 0 : Math.min(...values);
  }

  /** The highest rate and burst of a window, and of the time of grace before it; undefined: it was unlimited. */
  rateIn(from: number, until: number): { readonly rate: number; readonly burst: number } | undefined {
    const sets = this.#inForce(from - graceMs, until);
    if (sets.length === 0 || sets.some(({ rateMax }) => rateMax === 0)) return undefined;
    const bursts = sets.map(({ rateMax, rateBurst }) => (rateBurst > 0 ? rateBurst : Math.max(1, rateMax)));
    return { rate: Math.max(...sets.map(({ rateMax }) => rateMax)), burst: Math.max(...bursts) };
  }

  /** Before the first one it was unlimited, unless that one is there from the beginning. */
  #inForce(from: number, until: number): LimitSet[] {
    const first = this.#sets.findLastIndex(({ at }) => at <= from);
    const unlimited = { ...(this.#sets[0] as LimitSet), concurrencyMax: 0, rateMax: 0, concurrencyReserved: 0 };
    const isBefore = first < 0 && (this.#sets[0] as LimitSet).at > 0;
    const sets = this.#sets.slice(Math.max(0, first)).filter(({ at }) => at <= until);
    return isBefore ? [unlimited, ...sets] : sets;
  }
}

function tooMany(scope: string, executions: readonly Execution[], limits: LimitHistory): Violation[] {
  const running: Execution[] = [];
  return executions.flatMap((execution) => {
    const { startedAt, seq } = execution;
    start(running, execution);
    const limit = limits.concurrencyAt(startedAt);
    if (running.length <= limit) return [];
    const others = running.slice(0, -1).map(describeExecution).join(", ");
    const message = `${describeExecution(execution)} of ${scope} started at ${startedAt} ms, when ${running.length - 1} ran and ${limit} may: ${others}`;
    return [{ invariant, seq, message }];
  });
}

/** By account: its functions that ever had something reserved, and how much. */
function reservationsOf(limits: readonly LimitSet[]): Map<string, ReadonlyMap<string, LimitHistory>> {
  const ofFunctions = limits.filter((set) => set.function !== undefined);
  return new Map(
    [...groupBy(ofFunctions, ({ account }) => account)].flatMap(([account, sets]) => {
      const names = new Set(sets.flatMap((set) => (set.concurrencyReserved ? [set.function ?? ""] : [])));
      if (names.size === 0) return [];
      const histories = [...names].map((name) => {
        return [name, new LimitHistory(sets.filter((set) => set.function === name))] as const;
      });
      return [[account, new Map(histories)]];
    }),
  );
}

interface ReservedFacts {
  readonly account: string;
  /** Of the account, in the order of their starts. */
  readonly executions: readonly Execution[];
  readonly nameOf: (execution: Execution) => string;
  readonly limits: LimitHistory;
  readonly kept: ReadonlyMap<string, LimitHistory>;
}

/**
 * Whoever starts leaves room for what the other functions have reserved. What owners count is never less than what runs, so
 * where they are right, each function with the larger of what it runs and what it has reserved fits into the limit.
 */
function tookReserved({ account, executions, nameOf, limits, kept }: ReservedFacts): Violation[] {
  const running: Execution[] = [];
  return executions.flatMap((execution) => {
    const { startedAt, seq } = execution;
    start(running, execution);
    const limit = limits.concurrencyAt(startedAt);
    if (limit === Number.POSITIVE_INFINITY) return [];
    const name = nameOf(execution);
    const reserved = [...kept].map(([key, history]) => [key, history.reservedAt(startedAt)] as const);
    // More than there is cannot be kept.
    if (reserved.reduce((sum, [, count]) => sum + count, 0) > limits.leastConcurrencyAt(startedAt)) return [];
    const others = reserved.filter(([key]) => key !== name);
    const free = others.map(([key, count]) => count - running.filter((other) => nameOf(other) === key).length);
    const left = free.reduce((sum, count) => sum + Math.max(0, count), 0);
    if (running.length > limit || running.length + left <= limit) return [];
    const message = `${describeExecution(execution)} of ${account}/${name} started at ${startedAt} ms, when ${running.length - 1} ran, ${limit} may, and ${left} were kept free for other functions`;
    return [{ invariant, seq, message }];
  });
}

/** What has ended by then leaves. */
function start(running: Execution[], execution: Execution): void {
  for (let index = running.length - 1; index >= 0; index--) {
    const { endedAt } = running[index] as Execution;
    if (endedAt !== undefined && endedAt <= execution.startedAt) running.splice(index, 1);
  }
  running.push(execution);
}

function tooFast(scope: string, sends: readonly Sent[], limits: LimitHistory): Violation[] {
  const sorted = [...sends].sort((a, b) => a.at - b.at);
  return sorted.flatMap((last, index) => {
    for (let first = index; first >= 0; first--) {
      const from = (sorted[first] as Sent).at;
      const allowed = limits.rateIn(from, last.at);
      // A longer window reaches back to when nothing was limited.
      if (allowed === undefined) return [];
      const ms = (last.at - from) * clockShare + windowSlackMs;
      const most = allowed.burst + (allowed.rate * ms) / 1_000;
      const count = index - first + 1;
      if (count <= most) continue;
      const message = `${count} attempts of ${scope} were sent from ${from} to ${last.at} ms, and ${most.toFixed(1)} may: ${allowed.rate} per second and a burst of ${allowed.burst}`;
      return [{ invariant, seq: last.seq, message }];
    }
    return [];
  });
}
