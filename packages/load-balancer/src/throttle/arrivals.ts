// What all api-servers together are submitted, by queue and account, from the reports that they send every second.
import { type FunctionName, otherFunctions } from "@sluice/core";
import type { Arrivals, FlowArrivals } from "@sluice/queue";
import type { AccountArrivals, QueueArrivals } from "./solve.ts";

export interface ArrivalBook {
  note(report: Arrivals, now: number): void;
  /** The rates now, smoothed from one call to the next; call it once per second. `now` is monotonic, in ms. */
  read(now: number): ReadonlyMap<string, QueueArrivals>;
}

/** A report says nothing any more after so long: two of them may be lost. */
const reportMsMax = 3_000;
/** More api-servers than that cannot be told apart from senders of nonsense. */
const serversMax = 4_096;
/** Of the newest measurement in a rate. */
const newShare = 0.5;
/** Below this a rate is forgotten. */
const perSecondMin = 0.5;

interface Rate {
  readonly perSecond: number;
}
interface AccountRate extends Rate, Pick<FlowArrivals, "queue" | "accountId" | "waiting"> {}
interface FunctionRate extends Rate {
  /** Of its account. */
  readonly account: string;
  readonly functionName: FunctionName;
}
type Rates<T extends Rate> = ReadonlyMap<string, T>;

export function createArrivalBook(): ArrivalBook {
  const reports = new Map<string, { readonly report: Arrivals; readonly at: number }>();
  let totals: Rates<Rate> = new Map();
  let accounts: Rates<AccountRate> = new Map();
  let functions: Rates<FunctionRate> = new Map();

  return {
    note(report, now) {
      if (reports.size < serversMax || reports.has(report.serverId)) reports.set(report.serverId, { report, at: now });
    },
    read(now) {
      for (const [serverId, { at }] of reports) if (now - at > reportMsMax) reports.delete(serverId);
      const fresh = [...reports.values()].map(({ report }) => report);
      const lines = fresh.flatMap(({ flows }) => flows);
      totals = smoothed(totals, totalsOf(fresh));
      accounts = smoothed(accounts, accountsOf(lines));
      functions = smoothed(functions, functionsOf(lines));
      return byQueue(totals, accounts, functions);
    },
  };
}

function totalsOf(reports: readonly Arrivals[]): Rates<Rate> {
  const sums = new Map<string, Rate>();
  for (const { totals } of reports) {
    for (const [queue, rate] of totals) sums.set(queue, { perSecond: (sums.get(queue)?.perSecond ?? 0) + rate });
  }
  return sums;
}

const keyOf = ({ queue, accountId }: Pick<FlowArrivals, "queue" | "accountId">) => `${queue} ${accountId}`;

/** Each with all of its lines, those of functions that are not named, too. */
function accountsOf(lines: readonly FlowArrivals[]): Rates<AccountRate> {
  const sums = new Map<string, AccountRate>();
  for (const { queue, accountId, perSecond, waiting } of lines) {
    const key = keyOf({ queue, accountId });
    const known = sums.get(key);
    sums.set(key, {
      ...{ queue, accountId, perSecond: (known?.perSecond ?? 0) + perSecond },
      // Each server has counted the whole account, at another time.
      waiting: largerOf(known?.waiting, waiting),
    });
  }
  return sums;
}

function functionsOf(lines: readonly FlowArrivals[]): Rates<FunctionRate> {
  const sums = new Map<string, FunctionRate>();
  for (const line of lines) {
    const { functionName } = line;
    if (functionName === otherFunctions) continue;
    const account = keyOf(line);
    const key = `${account} ${functionName}`;
    sums.set(key, { account, functionName, perSecond: (sums.get(key)?.perSecond ?? 0) + line.perSecond });
  }
  return sums;
}

/** What is new counts at once; what changes or ends, by halves. */
function smoothed<T extends Rate>(before: Rates<T>, now: Rates<T>): Rates<T> {
  const after = new Map<string, T>();
  for (const [key, value] of now) {
    const old = before.get(key)?.perSecond ?? value.perSecond;
    after.set(key, { ...value, perSecond: (1 - newShare) * old + newShare * value.perSecond });
  }
  for (const [key, value] of before) {
    const perSecond = (1 - newShare) * value.perSecond;
    if (!now.has(key) && perSecond >= perSecondMin) after.set(key, { ...value, perSecond });
  }
  return after;
}

function byQueue(totals: Rates<Rate>, accounts: Rates<AccountRate>, functions: Rates<FunctionRate>) {
  const functionsIn = grouped(functions.values(), ({ account }) => account);
  const accountsIn = grouped(accounts.values(), ({ queue }) => queue);
  return new Map(
    [...totals].map(([queue, total]): [string, QueueArrivals] => {
      const known = (accountsIn.get(queue) ?? []).map((account): AccountArrivals => {
        const { accountId, perSecond, waiting } = account;
        const named = functionsIn.get(keyOf(account)) ?? [];
        const inside = named.map(({ functionName, perSecond: rate }) => ({ functionName, perSecond: rate }));
        return { accountId, perSecond, functions: inside, waiting };
      });
      const knownRate = known.reduce((sum, { perSecond }) => sum + perSecond, 0);
      return [queue, { total: Math.max(total.perSecond, knownRate), accounts: known }];
    }),
  );
}

function grouped<T>(values: Iterable<T>, keyOfValue: (value: T) => string): ReadonlyMap<string, readonly T[]> {
  const groups = new Map<string, T[]>();
  for (const value of values) {
    const key = keyOfValue(value);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [value]);
    else group.push(value);
  }
  return groups;
}

function largerOf(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? (a ?? b) : Math.max(a, b);
}
