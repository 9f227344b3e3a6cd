// What an api-server tells the load-balancer once per second: how much is submitted, and by whom most of it. A lossy hint:
// the next one says all of it again.
import type { AccountId, Flow, FunctionName } from "@sluice/core";

export const arrivalsTopic = "arrivals";

export interface Arrivals {
  /** Of the api-server, in this life. */
  readonly serverId: string;
  /** Submissions per second by queue, refused ones too, in the order in which they were first seen. */
  readonly totals: ReadonlyMap<string, number>;
  /** Those that submit most, the most first; what is in no line here are the small ones. */
  readonly flows: readonly FlowArrivals[];
}

/** An empty function name: all of the account that have no line of their own. The lines of an account add up to all that it submits. */
export interface FlowArrivals extends Flow {
  readonly queue: string;
  readonly perSecond: number;
  /** Tasks of the account that are not final, on all queues, as the store counted them last; undefined: not known. */
  readonly waiting: number | undefined;
}

/** A report has at most so many lines: about 15 KB. */
export const reportedFlowsMax = 128;

export function formatArrivals({ serverId, totals, flows }: Arrivals): string {
  const lines = flows
    .slice(0, reportedFlowsMax)
    .map(({ queue, accountId, functionName, perSecond, waiting }) => [
      queue,
      accountId,
      functionName,
      tenths(perSecond),
      waiting,
    ]);
  return JSON.stringify({ serverId, totals: [...totals].map(([queue, rate]) => [queue, tenths(rate)]), flows: lines });
}

/** Undefined: it is no such report. Lines that cannot be read are left out. */
export function parseArrivals(payload: string): Arrivals | undefined {
  let parsed: { readonly serverId?: unknown; readonly totals?: unknown; readonly flows?: unknown } | null;
  try {
    parsed = JSON.parse(payload);
  } catch {
    return undefined;
  }
  if (typeof parsed?.serverId !== "string" || !Array.isArray(parsed.totals) || !Array.isArray(parsed.flows)) {
    return undefined;
  }
  const totals = parsed.totals.flatMap((line: unknown): [string, number][] => {
    const [queue, rate] = Array.isArray(line) ? line : [];
    return typeof queue === "string" && isAmount(rate) ? [[queue, rate]] : [];
  });
  return { serverId: parsed.serverId, totals: new Map(totals), flows: parsed.flows.flatMap(flowIn) };
}

function flowIn(line: unknown): FlowArrivals[] {
  const [queue, accountId, functionName, perSecond, waiting] = Array.isArray(line) ? line : [];
  if (typeof queue !== "string" || typeof accountId !== "string" || typeof functionName !== "string") return [];
  if (!isAmount(perSecond)) return [];
  const flow = { accountId: accountId as AccountId, functionName: functionName as FunctionName };
  return [{ queue, ...flow, perSecond, waiting: isAmount(waiting) ? waiting : undefined }];
}

function isAmount(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value) && value >= 0;
}

function tenths(value: number): number {
  return Math.round(value * 10) / 10;
}
