// What all api-servers together are submitted, by queue and account, from the reports that they send every second.
import type { AccountId, FunctionName } from "@sluice/core";
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

interface FlowRate extends Pick<FlowArrivals, "queue" | "accountId" | "functionName" | "waiting"> {
  readonly perSecond: number;
}

export function createArrivalBook(): ArrivalBook {
  const reports = new Map<string, { readonly report: Arrivals; readonly at: number }>();
  let totals: ReadonlyMap<string, number> = new Map();
  let flows: ReadonlyMap<string, FlowRate> = new Map();

  return {
    note(report, now) {
      if (reports.size < serversMax || reports.has(report.serverId)) reports.set(report.serverId, { report, at: now });
    },
    read(now) {
      for (const [serverId, { at }] of reports) if (now - at > reportMsMax) reports.delete(serverId);
      const fresh = [...reports.values()].map(({ report }) => report);
      totals = smoothed(
        totals,
        summed(fresh),
        (rate) => rate,
        (_, rate) => rate,
      );
      const rates = flowsOf(fresh);
      flows = smoothed(
        flows,
        rates,
        ({ perSecond }) => perSecond,
        (flow, perSecond) => ({ ...flow, perSecond }),
      );
      return byQueue(totals, flows);
    },
  };
}

function summed(reports: readonly Arrivals[]): Map<string, number> {
  const sums = new Map<string, number>();
  for (const { totals } of reports) {
    for (const [queue, rate] of totals) sums.set(queue, (sums.get(queue) ?? 0) + rate);
  }
  return sums;
}

function flowsOf(reports: readonly Arrivals[]): Map<string, FlowRate> {
  const rates = new Map<string, FlowRate>();
  for (const line of reports.flatMap(({ flows }) => flows)) {
    const key = `${line.queue} ${line.accountId} ${line.functionName}`;
    const known = rates.get(key);
    const perSecond = (known?.perSecond ?? 0) + line.perSecond;
    // Each server has counted the whole account, at another time.
    rates.set(key, { ...line, perSecond, waiting: largerOf(known?.waiting, line.waiting) });
  }
  return rates;
}

/** What is new counts at once; what changes or ends, by halves. */
function smoothed<T>(
  before: ReadonlyMap<string, T>,
  now: ReadonlyMap<string, T>,
  rateOf: (value: T) => number,
  withRate: (value: T, rate: number) => T,
): Map<string, T> {
  const after = new Map<string, T>();
  for (const [key, value] of now) {
    const old = before.get(key);
    const rate = old === undefined ? rateOf(value) : (1 - newShare) * rateOf(old) + newShare * rateOf(value);
    after.set(key, withRate(value, rate));
  }
  for (const [key, value] of before) {
    const rate = (1 - newShare) * rateOf(value);
    if (!now.has(key) && rate >= perSecondMin) after.set(key, withRate(value, rate));
  }
  return after;
}

function byQueue(totals: ReadonlyMap<string, number>, flows: ReadonlyMap<string, FlowRate>) {
  const accounts = new Map<string, Map<AccountId, FlowRate[]>>();
  for (const flow of flows.values()) {
    const ofQueue = accounts.get(flow.queue) ?? new Map<AccountId, FlowRate[]>();
    accounts.set(flow.queue, ofQueue);
    const rates = ofQueue.get(flow.accountId);
    if (rates === undefined) ofQueue.set(flow.accountId, [flow]);
    else rates.push(flow);
  }
  return new Map(
    [...totals].map(([queue, total]): [string, QueueArrivals] => {
      const known = [...(accounts.get(queue) ?? [])].map(([accountId, rates]) => accountOf(accountId, rates));
      const knownRate = known.reduce((sum, { perSecond }) => sum + perSecond, 0);
      return [queue, { total: Math.max(total, knownRate), accounts: known }];
    }),
  );
}

function accountOf(accountId: AccountId, rates: readonly FlowRate[]): AccountArrivals {
  return {
    accountId,
    perSecond: rates.reduce((sum, { perSecond }) => sum + perSecond, 0),
    functions: rates.map(({ functionName, perSecond }: { functionName: FunctionName; perSecond: number }) => ({
      functionName,
      perSecond,
    })),
    waiting: rates.reduce<number | undefined>((most, { waiting }) => largerOf(most, waiting), undefined),
  };
}

function largerOf(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? (a ?? b) : Math.max(a, b);
}
