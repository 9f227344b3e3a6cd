// How busy the partitions are, as their owners say. A key of its own under the lease, and not a part of the member key:
// whoever watches the members must hear of joins and leaves, and not of every change of a number.
import {
  type AccountId,
  type Flow,
  type FunctionName,
  flowKey,
  type Partition,
  parsePartitionKey,
  partitionKey,
} from "@sluice/core";
import type { Coordinator, Entry, Lease } from "./index.ts";
import { loadsKey, loadsPrefix } from "./keys.ts";

export interface PartitionLoad extends Partition {
  /**
   * Tasks that wait for their turn: in the owner's memory, and parked in the store because that was full. What a flow that is alone
   * has left in the queue is not counted.
   */
  readonly waiting: number;
  /** Age of the oldest of those in memory; 0: none waits there. */
  readonly backlogAgeMs: number;
  readonly dispatchedPerSecond: number;
  /** Those that are parked. Absent: none, or its owner has an older release, which does not count them. */
  readonly parked?: number;
  /**
   * Those that no limit, adaptive window or pause holds back, and how long the oldest of them has waited since that is so. Absent: all
   * of them, or its owner has an older release, which does not tell.
   */
  readonly ready?: { readonly waiting: number; readonly ageMs: number };
}

export interface LoadReport {
  readonly memberId: string;
  /** Those of its partitions that have something to do; a partition that is left out is idle, unless `isCut`. */
  readonly partitions: readonly PartitionLoad[];
  /** It has more of them than it may name: only the busiest are here. */
  readonly isCut: boolean;
  /** Those of its flows that ask for a queue of their own, and the hottest of the others. Absent: an older release. */
  readonly flows?: readonly FlowLoad[];
  /** Share of the time in which the thread of the owner was at work, 0 to 1, smoothed. Absent: it does not say. */
  readonly busy?: number;
}

/** Of its backlog, what another owner could work off. */
export function readyOf({ waiting, backlogAgeMs, ready }: PartitionLoad): NonNullable<PartitionLoad["ready"]> {
  return ready ?? { waiting, ageMs: backlogAgeMs };
}

/** What a flow does in all partitions of one owner. */
export interface FlowLoad extends Flow {
  /** Task numbers in the owner's memory that wait for their turn. */
  readonly waiting: number;
  readonly dispatchedPerSecond: number;
  /** What its function asks for. */
  readonly asksFor: "nothing" | "dedicated" | "latency";
}

/** A report names at most so many partitions: about 3 KB. */
export const reportedPartitionsMax = 32;
/** …and so many flows: about 2 KB. */
export const reportedFlowsMax = 32;

/** Those that can be read; members without one have not said anything yet. */
export async function readLoads(coordinator: Coordinator): Promise<LoadReport[]> {
  return (await coordinator.list(loadsPrefix)).flatMap((entry) => {
    const report = parseLoads(entry);
    return report === undefined ? [] : [report];
  });
}

/** Replaces what the member has said before. Rejects with `LEASE_GONE`. */
export async function writeLoads(
  coordinator: Coordinator,
  { memberId, partitions, isCut, flows = [], busy }: LoadReport,
  lease: Lease,
): Promise<void> {
  const loads = partitions.map(({ waiting, backlogAgeMs, dispatchedPerSecond, parked = 0, ready, ...partition }) => [
    partitionKey(partition),
    waiting,
    backlogAgeMs,
    dispatchedPerSecond,
    ...(parked > 0 || ready ? [parked] : []),
    ...(ready ? [ready.waiting, ready.ageMs] : []),
  ]);
  const hottest = flows.map(({ waiting, dispatchedPerSecond, asksFor, ...flow }) => [
    flowKey(flow),
    waiting,
    dispatchedPerSecond,
    asks.indexOf(asksFor),
  ]);
  const value = JSON.stringify({ loads, ...(isCut && { isCut }), ...(hottest.length > 0 && { flows: hottest }), busy });
  await coordinator.commit([], [{ op: "put", key: loadsKey(memberId), value, lease }]);
}

function parseLoads({ key, value }: Entry): LoadReport | undefined {
  let parsed: Partial<Readonly<Record<"loads" | "isCut" | "flows" | "busy", unknown>>> | null;
  try {
    parsed = JSON.parse(value);
  } catch {
    return undefined;
  }
  if (!Array.isArray(parsed?.loads)) return undefined;
  const partitions = parsed.loads.flatMap((item: unknown): PartitionLoad[] => {
    const [name, ...numbers]: unknown[] = Array.isArray(item) ? item : [];
    if (typeof name !== "string" || !/^.+\/(?:-|[01]{1,5})$/.test(name)) return [];
    const [waiting, backlogAgeMs, dispatchedPerSecond, parked, readyWaiting, ageMs] = numbers.map(countIn);
    if (waiting === undefined || backlogAgeMs === undefined || dispatchedPerSecond === undefined) return [];
    const ready = readyWaiting !== undefined && ageMs !== undefined && { waiting: readyWaiting, ageMs };
    const load = { ...parsePartitionKey(name), waiting, backlogAgeMs, dispatchedPerSecond };
    return [{ ...load, ...(parked && { parked }), ...(ready && { ready }) }];
  });
  const flows = Array.isArray(parsed.flows) ? parsed.flows.slice(0, reportedFlowsMax).flatMap(flowIn) : [];
  const memberId = key.slice(loadsPrefix.length);
  const busy = countIn(parsed.busy);
  return {
    ...{ memberId, partitions, isCut: parsed.isCut === true },
    ...(flows.length > 0 && { flows }),
    ...(busy !== undefined && busy <= 1 && { busy }),
  };
}

/** Their places are what reports say: only add behind. */
const asks: readonly FlowLoad["asksFor"][] = ["nothing", "dedicated", "latency"];

function flowIn(item: unknown): FlowLoad[] {
  const [name, ...numbers]: unknown[] = Array.isArray(item) ? item : [];
  const [account, functionName, ...more] = typeof name === "string" ? name.split("/") : [];
  const [waiting, dispatchedPerSecond, asked] = numbers.map(countIn);
  if (!account || !functionName || more.length > 0) return [];
  if (waiting === undefined || dispatchedPerSecond === undefined || asked === undefined) return [];
  const flow = { accountId: account as AccountId, functionName: functionName as FunctionName };
  return [{ ...flow, waiting, dispatchedPerSecond, asksFor: asks[asked] ?? "nothing" }];
}

function countIn(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : undefined;
}
