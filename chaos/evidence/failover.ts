// How long partitions stood still when they lost their owner, and what became of what ran.
import type { Execution } from "@sluice/checkers";
import { covers } from "@sluice/core";
import type { FaultMark, PartitionName } from "../contract.ts";
import { excusesOf } from "./excuses.ts";
import { type Facts, waitsForItsLimit } from "./facts.ts";

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
 * owner that hands over in order: the time in which something waited and neither of the two started it.
 */
export function failovers(facts: Facts): Failover[] {
  const startsOf = startsByQueue(facts);
  return facts.marks.flatMap((mark) =>
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
  /** When its task was asked for; of one that waits for more than its turn, and of a later attempt: when it started. */
  readonly waitsFrom: number;
}

/** In the order of their times. */
function startsByQueue({ evidence, rows, executions, kindOf }: Facts): Map<string, Start[]> {
  const { submissions = [] } = evidence.history;
  const atOnce = submissions.filter(({ delayMs }) => delayMs === 0);
  const askedAt = new Map(
    atOnce.map((submission) => [`${submission.account}/${submission.taskId}`, submission.askedAt]),
  );
  const bySeq = new Map(rows.map((row) => [row.seq, row]));
  const starts = new Map<string, Start[]>();
  for (const { seq, attempt, startedAt: at, epoch } of executions) {
    const row = bySeq.get(seq);
    if (!row) continue;
    const waitsForItsTurn = attempt === 1 && !waitsForItsLimit(kindOf(row));
    const asked = waitsForItsTurn ? askedAt.get(`${row.accountId}/${row.taskId}`) : undefined;
    const start = { lane: row.lane, at, epoch, waitsFrom: asked ?? at };
    const ofQueue = starts.get(row.queue);
    if (ofQueue) ofQueue.push(start);
    else starts.set(row.queue, [start]);
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
  const waitedFrom = Math.min(...starts.filter(({ at }) => at >= next.at).map(({ waitsFrom }) => waitsFrom));
  return next.at - Math.max(from, lastOld?.at ?? from, waitedFrom);
}

/**
 * Of the executions that ran on living agents when their owner went: how many came to their own end, or to a stop that their
 * client asked for, and counted. An agent that dies later takes its own along, and one that is told to leave gives them
 * back; they count for nothing here.
 */
export function resumed(facts: Facts): { readonly running: number; readonly adopted: number } {
  const { rows, executions, lives, marks } = facts;
  const bySeq = new Map(rows.map((row) => [row.seq, row]));
  const downAt = new Map(lives.map((life) => [`${life.agentId}/${life.incarnation()}`, life.downAt]));
  const { isHandedBack } = excusesOf(facts);
  const isOrphan = (execution: Execution, { from, partitions = [] }: FaultMark) => {
    const row = bySeq.get(execution.seq);
    const { startedAt, endedAt = Number.POSITIVE_INFINITY, agentId, incarnation } = execution;
    if (!row || startedAt >= from || endedAt <= from || isHandedBack(execution)) return false;
    const diedAt = downAt.get(`${agentId}/${incarnation}`) ?? Number.POSITIVE_INFINITY;
    if (diedAt <= endedAt || (execution.how === "killed" && diedAt !== Number.POSITIVE_INFINITY)) return false;
    return partitions.some(({ queue, prefix }) => queue === row.queue && covers(prefix, row.lane));
  };
  const isAdopted = ({ seq, attempt, how }: Execution) => {
    const row = bySeq.get(seq);
    if (!row) return false;
    if (how === "stopped") return facts.kindOf(row) === "stopped";
    if (how === "killed") return facts.kindOf(row) === "crashing";
    // A failure that was recorded is the end of the task, or has brought it to its next attempt.
    if (how === "failed") return row.attempt > attempt || (row.attempt === attempt && row.status === "Failed");
    return how === "ok" && row.attempt === attempt;
  };
  const orphans = marks.flatMap((mark) => executions.filter((execution) => isOrphan(execution, mark)));
  return { running: orphans.length, adopted: orphans.filter(isAdopted).length };
}
