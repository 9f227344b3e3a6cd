// What owners do with many rows at once.
import { isFinal, type OwnedPartition, type Seq, type TaskStatus } from "@sluice/core";
import type { BatchRecords, OperationRecord, Stale } from "@sluice/store";
import { endedPauses, pausedUntil } from "@sluice/store";
import { addEvents } from "./events.ts";
import type { Model } from "./model-store.ts";
import { type Row, shownStatus, toAnnouncement } from "./rows.ts";
import { assertBatch } from "./storable.ts";
import { isOwner, laneProgress, lanesTest } from "./tables.ts";
import { selects } from "./task-records.ts";

export function batchRecords(model: Model): BatchRecords {
  const { tables } = model;
  const { rows } = tables;

  /** The rows of these numbers that lie in the owner's lanes, by number. */
  function given(owner: OwnedPartition, seqs: readonly Seq[]): Row[] | Stale {
    assertBatch(seqs, "tasks of an operation");
    if (!isOwner(tables, owner)) return "stale";
    const inLanes = lanesTest(owner);
    const found = [...new Set(seqs)].sort((a, b) => a - b).flatMap((seq) => rows.bySeq(seq) ?? []);
    return found.filter(inLanes);
  }

  function count({ number }: OperationRecord, row: Row, what: "matched" | "done" | "failed"): void {
    laneProgress(tables, number, row)[what] += 1;
  }

  function remove(row: Row): void {
    rows.close(row);
    rows.delete(row);
    tables.logs.delete(row.seq);
  }

  return {
    async matching(owner, operation, { status, after, limit }) {
      assertBatch(limit, "matching");
      const { visited, last } = walk(model, { operation, statuses: [status], after, limit });
      const inLanes = lanesTest(owner);
      const ofStatus = status !== undefined && { status };
      const fits = selects({ ...operation.filter, ...ofStatus, enqueuedUntil: untilOf(operation) });
      return {
        tasks: visited
          .filter((row) => inLanes(row) && fits(row))
          .map(({ seq, functionName, lane, priority, enqueuedAt, operation: mark }) => ({
            ...{ seq, functionName, lane, priority, enqueuedAt, isMarked: mark === operation.number },
          })),
        last,
      };
    },
    async stop(owner, operation, seqs) {
      const found = given(owner, seqs);
      if (found === "stale") return found;
      const open = found.filter(({ status }) => !isFinal(status));
      for (const row of open) {
        settleStopped(row, operation, model.now());
        rows.close(row);
        count(operation, row, "matched");
        count(operation, row, "done");
      }
      return open.map(({ seq }) => seq);
    },
    async delete(owner, operation, seqs) {
      const found = given(owner, seqs);
      if (found === "stale") return found;
      for (const row of found) {
        if (row.operation !== operation.number) count(operation, row, "matched");
        count(operation, row, "done");
        remove(row);
      }
      return found.map(({ seq }) => seq);
    },
    async mark(owner, operation, seqs, open) {
      const found = given(owner, seqs);
      if (found === "stale") return found;
      const mine = found.filter(({ status, operation: mark }) => {
        return !isFinal(status) && mark !== operation.number && !(mark !== undefined && open.includes(mark));
      });
      for (const row of mine) {
        if (!row.stopRequested) {
          const detail = { operation: operation.operationId };
          addEvents(row, [{ status: "Stopping", at: model.now(), attempt: row.attempt, detail }]);
        }
        row.stopRequested = true;
        row.operation = operation.number;
        count(operation, row, "matched");
      }
      return mine.map(({ seq }) => seq);
    },
    async collect(owner, operation, limit) {
      assertBatch(limit, "collect");
      if (!isOwner(tables, owner)) return "stale";
      const inLanes = lanesTest(owner);
      const marked = [...rows.all()].filter((row) => row.operation === operation.number && inLanes(row));
      const ended = marked.filter(({ status }) => isFinal(status)).slice(0, limit);
      for (const row of ended) {
        const isDone = operation.kind === "delete" || row.status === "Stopped";
        count(operation, row, isDone ? "done" : "failed");
        row.operation = undefined;
        if (operation.kind === "delete") remove(row);
      }
      return { collected: ended.map(({ seq }) => seq), left: marked.filter(({ status }) => !isFinal(status)).length };
    },
    async closeLanes(owner, { number }) {
      if (!isOwner(tables, owner)) return "stale";
      const marked = [...rows.all()].filter((row) => row.operation === number && row.queue === owner.queue);
      const isOpen = new Set(marked.map(({ lane }) => lane));
      for (const lane of lanesIn(owner)) {
        if (!isOpen.has(lane)) laneProgress(tables, number, { queue: owner.queue, lane }).finishedAt ??= model.now();
      }
      return true;
    },
    async resume(owner, active, limit) {
      assertBatch(limit, "resume");
      if (!isOwner(tables, owner)) return "stale";
      const inLanes = lanesTest(owner);
      const gaps = endedPauses(active);
      const ended = (dueAt: number) => gaps.findIndex(({ from, until }) => dueAt > from && dueAt < until);
      const found = [...rows.open(owner.queue)]
        .filter((row) => inLanes(row) && row.dueAt !== undefined && ended(row.dueAt) >= 0)
        .sort((a, b) => ended(a.dueAt ?? 0) - ended(b.dueAt ?? 0) || a.priority - b.priority || byDue(a, b))
        .slice(0, limit)
        .sort((a, b) => a.seq - b.seq);
      for (const row of found) {
        Object.assign(row, { dueAt: undefined, parkReason: undefined, stamp: owner.epoch, announcedAt: model.now() });
      }
      return found.map(toAnnouncement);
    },
  };
}

/** Whether a task is left for an operation to work on. */
export function selectsFor({ kind, filter, createdAt }: OperationRecord): (row: Row) => boolean {
  const selected = selects({ ...filter, enqueuedUntil: untilOf({ filter, createdAt }) });
  return (row) => selected(row) && (kind === "delete" || !isFinal(shownStatus(row)));
}

interface WalkOptions {
  readonly operation: OperationRecord;
  readonly statuses: readonly (TaskStatus | undefined)[];
  readonly after: Place | undefined;
  readonly limit: number;
}

/** The next rows that an index has of these statuses (undefined: of all), oldest first. */
export function walk(
  { tables }: Model,
  { operation, statuses, after, limit }: WalkOptions,
): { readonly visited: readonly Row[]; readonly last: Place | undefined } {
  const { accountId, functionName, enqueuedFrom } = operation.filter;
  const ranges = statuses.map((status) =>
    selects({
      ...{ accountId, enqueuedUntil: untilOf(operation) },
      ...(status !== undefined && status !== "Succeeded" && { status }),
      ...(enqueuedFrom !== undefined && { enqueuedFrom }),
      // A status other than this has an index of its own, in which functions are passed over one by one.
      ...(functionName !== undefined && (status === undefined || status === "Succeeded") && { functionName }),
    }),
  );
  const visited = [...tables.rows.all()]
    .filter((row) => ranges.some((visits) => visits(row)) && (after === undefined || byTime(row, after) > 0))
    .sort(byTime)
    .slice(0, limit);
  const last = visited.length === limit ? visited.at(-1) : undefined;
  return { visited, last: last && { enqueuedAt: last.enqueuedAt, seq: last.seq } };
}

function untilOf({ filter, createdAt }: Pick<OperationRecord, "filter" | "createdAt">): number {
  return Math.min(filter.enqueuedUntil ?? createdAt, createdAt);
}

function settleStopped(row: Row, { operationId }: OperationRecord, now: number): void {
  const event = { status: "Stopped", at: now, attempt: row.attempt, detail: { operation: operationId } } as const;
  addEvents(row, [event]);
  Object.assign(row, {
    ...{ status: "Stopped", endedAt: now, stopRequested: true, dueAt: undefined, parkReason: undefined },
    ...{ result: new Uint8Array(), error: undefined, startedAt: undefined, agentId: undefined, instanceId: undefined },
  } satisfies Partial<Row>);
}

function lanesIn(owner: OwnedPartition): number[] {
  const inLanes = lanesTest(owner);
  return Array.from({ length: 32 }, (_, lane) => lane).filter((lane) => inLanes({ queue: owner.queue, lane }));
}

type Place = Pick<Row, "enqueuedAt" | "seq">;

function byTime(a: Place, b: Place): number {
  return a.enqueuedAt - b.enqueuedAt || a.seq - b.seq;
}

function byDue(a: Row, b: Row): number {
  return (a.dueAt ?? pausedUntil(0)) - (b.dueAt ?? pausedUntil(0)) || a.lane - b.lane;
}
