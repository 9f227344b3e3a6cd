// How long partitions stood still when they lost their owner, and what became of what ran.
import type { Execution } from "@sluice/checkers";
import { covers, type Task } from "@sluice/core";
import type { FaultMark, PartitionName } from "../contract.ts";
import type { Facts } from "./checks.ts";

/** Faults in which the owner hands over: what counts is the gap between its last dispatch and the first of its successor. */
const graceful: ReadonlySet<string> = new Set(["stop", "upgrade", "move"]);

/** One partition that lost its owner. */
export interface Failover {
  readonly kind: string;
  readonly partition: PartitionName;
  /** Undefined: nothing of it was dispatched afterwards, or nothing before, so that the owners cannot be told apart. */
  readonly ms: number | undefined;
}

/**
 * From a fault to the first start of a task in the partition's lanes under a later epoch than any before the fault. Of an
 * owner that hands over in order: from the last start under its epoch.
 */
export function failovers({ rows, executions }: Facts, marks: readonly FaultMark[]): Failover[] {
  const startsOf = startsByQueue(rows, executions);
  return marks.flatMap((mark) =>
    (mark.partitions ?? []).map((partition) => {
      const starts = (startsOf.get(partition.queue) ?? []).filter(({ lane }) => covers(partition.prefix, lane));
      return { kind: mark.kind, partition, ms: gapOf(starts, mark) };
    }),
  );
}

interface Start {
  readonly lane: number;
  readonly at: number;
  readonly epoch: number;
}

/** In the order of their times. */
function startsByQueue(rows: readonly Task[], executions: readonly Execution[]): Map<string, Start[]> {
  const places = new Map(rows.map(({ seq, queue, lane }) => [seq, { queue, lane }]));
  const starts = new Map<string, Start[]>();
  for (const { seq, startedAt, epoch } of executions) {
    const place = places.get(seq);
    if (!place) continue;
    const start = { lane: place.lane, at: startedAt, epoch };
    const ofQueue = starts.get(place.queue);
    if (ofQueue) ofQueue.push(start);
    else starts.set(place.queue, [start]);
  }
  return starts;
}

function gapOf(starts: readonly Start[], { kind, from }: FaultMark): number | undefined {
  const before = starts.filter(({ at }) => at < from);
  if (before.length === 0) return undefined;
  const epoch = before.reduce((highest, start) => Math.max(highest, start.epoch), 0);
  const next = starts.find((start) => start.at >= from && start.epoch > epoch);
  if (!next) return undefined;
  if (!graceful.has(kind)) return next.at - from;
  const lastOld = starts.findLast((start) => start.epoch <= epoch && start.at < next.at);
  return next.at - Math.max(from, lastOld?.at ?? from);
}

/**
 * Of the executions that ran on living agents when their owner went: how many came to their end, and counted. An agent that
 * dies later takes its own along; they count for nothing here.
 */
export function resumed(
  { rows, executions, lives }: Facts,
  marks: readonly FaultMark[],
): { readonly running: number; readonly adopted: number } {
  const bySeq = new Map(rows.map((row) => [row.seq, row]));
  const downAt = new Map(lives.map((life) => [`${life.agentId}/${life.incarnation()}`, life.downAt]));
  const isOrphan = (execution: Execution, { from, partitions = [] }: FaultMark) => {
    const row = bySeq.get(execution.seq);
    const { startedAt, endedAt = Number.POSITIVE_INFINITY, agentId, incarnation } = execution;
    if (!row || startedAt >= from || endedAt <= from) return false;
    const diedAt = downAt.get(`${agentId}/${incarnation}`) ?? Number.POSITIVE_INFINITY;
    if (diedAt <= endedAt || (execution.how === "killed" && diedAt !== Number.POSITIVE_INFINITY)) return false;
    return partitions.some(({ queue, prefix }) => queue === row.queue && covers(prefix, row.lane));
  };
  const orphans = marks.flatMap((mark) => executions.filter((execution) => isOrphan(execution, mark)));
  const adopted = orphans.filter(({ seq, attempt, how }) => {
    if (how === undefined || how === "killed") return false;
    return how !== "ok" || bySeq.get(seq)?.attempt === attempt;
  });
  return { running: orphans.length, adopted: adopted.length };
}
