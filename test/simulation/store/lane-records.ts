// What owners do with the rows of their lanes. Everything but `floors`, `dueIn` and `waiting` asks first whether they own them.
import {
  type Epoch,
  flowKey,
  laneCount,
  lanesOf,
  type OwnedPartition,
  priorities,
  type Seq,
  urgency,
} from "@sluice/core";
import type { LaneRecords, OverflowFlow, Stale } from "@sluice/store";
import { expireRow, writeAll } from "./lane-writes.ts";
import type { Model } from "./model-store.ts";
import { type Row, toAnnouncement, toTaskRow } from "./rows.ts";
import { assertBatch } from "./storable.ts";
import { inOrder, isOwner, type OperationLane, type Tables } from "./tables.ts";

const stale: Stale = "stale";

export function laneRecords(model: Model): LaneRecords {
  const { tables } = model;
  const { rows, floors } = tables;
  return {
    async floors(queue) {
      return [...(floors.get(queue) ?? new Array<Epoch>(laneCount).fill(0))];
    },
    async allFloors() {
      const sorted = [...floors].sort(([a], [b]) => inOrder(a, b));
      return new Map(sorted.map(([queue, epochs]) => [queue, [...epochs]]));
    },
    async raiseFloor(owner) {
      return raiseFloor(tables, owner);
    },
    async read(owner, seqs) {
      assertBatch(seqs, "read");
      if (!isOwner(tables, owner)) return stale;
      return [...new Set(seqs)].flatMap((seq) => {
        const row = rows.bySeq(seq);
        return row?.queue === owner.queue ? [toTaskRow(row)] : [];
      });
    },
    async write(owner, writes) {
      assertBatch(writes, "write");
      if (writes.length === 0) return [];
      return isOwner(tables, owner) ? writeAll(model, owner, writes) : stale;
    },
    async unpark(owner, limit, except) {
      assertBatch(limit, "unpark");
      assertBatch(except, "unpark except");
      if (!isOwner(tables, owner)) return stale;
      const now = model.now();
      const held = new Set(except);
      const due = parkedRows(tables, owner).filter((row) => row.dueAt <= now && !held.has(row.seq));
      const chosen = longestDue(due, limit)
        .sort((a, b) => urgency(a) - urgency(b) || a.seq - b.seq)
        .slice(0, limit);
      for (const row of chosen) {
        Object.assign(row, { dueAt: undefined, parkReason: undefined, stamp: owner.epoch, announcedAt: now });
      }
      return chosen.map(toAnnouncement);
    },
    async dueIn(owner, withinMs) {
      const now = model.now();
      const first = Math.min(...parkedRows(tables, owner).map(({ dueAt }) => dueAt));
      return first <= now + withinMs ? first - now : undefined;
    },
    async parkOverflow(owner, seqs, { dueInMs, announcedUntil }) {
      assertBatch(seqs, "park overflow");
      if (!isOwner(tables, owner)) return stale;
      const now = model.now();
      const parked = rowsOf(tables, owner, seqs).filter(
        (row) => row.dueAt === undefined && hasNotStarted(row) && row.announcedAt <= announcedUntil,
      );
      for (const row of parked) {
        row.dueAt = now + Math.max(Math.ceil(dueInMs), now - row.enqueuedAt);
        row.parkReason = "overflow";
      }
      return parked.map(({ seq }) => seq);
    },
    async unparkOverflow(owner, flow, limit) {
      assertBatch(limit, "unpark overflow");
      if (!isOwner(tables, owner)) return stale;
      const chosen = parkedRows(tables, owner)
        .filter((row) => row.parkReason === "overflow" && flowKey(row) === flowKey(flow))
        .sort((a, b) => urgency(a) - urgency(b) || a.seq - b.seq)
        .slice(0, limit);
      for (const row of chosen) {
        Object.assign(row, { dueAt: undefined, parkReason: undefined, stamp: owner.epoch, announcedAt: model.now() });
      }
      return chosen.map(toAnnouncement);
    },
    async overflowFlows(owner, { limit, countMax }) {
      assertBatch(limit, "overflow flows");
      if (!isOwner(tables, owner)) return stale;
      const flows = new Map<string, OverflowFlow>();
      for (const row of parkedRows(tables, owner)) {
        if (row.parkReason !== "overflow") continue;
        const { accountId, functionName } = row;
        const parked = Math.min(countMax, (flows.get(flowKey(row))?.parked ?? 0) + 1);
        if (parked > 0) flows.set(flowKey(row), { accountId, functionName, parked });
      }
      return [...flows.values()]
        .sort((a, b) => inOrder(a.accountId, b.accountId) || inOrder(a.functionName, b.functionName))
        .slice(0, limit);
    },
    async expired(owner, { priority, after, limit }) {
      assertBatch(limit, "expired");
      if (!isOwner(tables, owner)) return stale;
      const now = model.now();
      const page = openRows(tables, owner)
        .filter((row) => row.priority === priority && row.dueAt === undefined && byAnnouncement(row, after) > 0)
        .sort(byAnnouncement)
        .slice(0, limit);
      const parked = parkedRows(tables, owner)
        .filter((row) => !row.stopRequested && expiryOf(row) <= now)
        .sort((a, b) => expiryOf(a) - expiryOf(b) || a.lane - b.lane)
        .slice(0, limit);
      const last = page.length < limit ? undefined : page.at(-1);
      return {
        seqs: [...page.filter((row) => expiryOf(row) <= now), ...parked].map(({ seq }) => seq),
        last: last && { announcedAt: last.announcedAt, seq: last.seq },
      };
    },
    async expire(owner, seqs, { stampMin }) {
      assertBatch(seqs, "expire");
      if (!isOwner(tables, owner)) return stale;
      const now = model.now();
      const ended = rowsOf(tables, owner, seqs).filter(
        (row) =>
          hasNotStarted(row) &&
          expiryOf(row) <= now &&
          !row.stopRequested &&
          (row.dueAt !== undefined || row.stamp >= stampMin),
      );
      for (const row of ended) expireRow(model, row);
      return ended.map(({ seq, lane, attempt }) => ({ seq, lane, attempt }));
    },
    async movable(owner, { flow, status, after, limit }) {
      assertBatch(limit, "movable");
      if (!isOwner(tables, owner)) return stale;
      const inLanes = lanesTest(owner);
      const page = [...rows.allOpen()]
        .filter((row) => row.accountId === flow.accountId && row.status === status && !row.stopRequested)
        .filter(
          ({ enqueuedAt, seq }) =>
            enqueuedAt - after.enqueuedAt > 0 || (enqueuedAt === after.enqueuedAt && seq > after.seq),
        )
        .sort((a, b) => a.enqueuedAt - b.enqueuedAt || a.seq - b.seq)
        .slice(0, limit);
      const last = page.at(-1);
      const found = page.filter(
        (row) =>
          row.functionName === flow.functionName &&
          inLanes(row) &&
          (row.dueAt === undefined || row.parkReason === "overflow"),
      );
      return {
        rows: found.map(({ seq, lane, priority, attempt, retries, lostAttempts, stamp, enqueuedAt, announcedAt }) => {
          const { accountId, functionName } = flow;
          const counts = { attempt, retries, lostAttempts, stamp, enqueuedAt, announcedAt };
          return { accountId, functionName, status, seq, lane, priority, ...counts };
        }),
        last: last && { enqueuedAt: last.enqueuedAt, seq: last.seq },
      };
    },
    async queuesInUse() {
      const isOpen = ({ number, finishedAt }: OperationLane) => {
        const operation = [...tables.operations.values()].find((one) => one.number === number);
        if (operation === undefined || finishedAt !== undefined) return false;
        return operation.finishedAt === undefined && operation.cancelledAt === undefined;
      };
      const lanes = [...tables.operationLanes.values()].filter(isOpen);
      return [...new Set([...rows.allOpen(), ...lanes].map(({ queue }) => queue))].sort(inOrder);
    },
    async sweep(owner, { priority, announcedBefore, after, limit }) {
      assertBatch(limit, "sweep");
      if (!isOwner(tables, owner)) return stale;
      const found = openRows(tables, owner)
        .filter((row) => row.priority === priority && row.dueAt === undefined && row.announcedAt < announcedBefore)
        .filter((row) => byAnnouncement(row, after) > 0)
        .sort(byAnnouncement)
        .slice(0, limit);
      const last = found.at(-1);
      return {
        seqs: found.map(({ seq }) => seq),
        last: last && { announcedAt: last.announcedAt, seq: last.seq },
      };
    },
    async touch(owner, seqs) {
      assertBatch(seqs, "touch");
      if (!isOwner(tables, owner)) return stale;
      const inLanes = lanesTest(owner);
      const touched = [...new Set(seqs)]
        .sort((a, b) => a - b)
        .flatMap((seq) => rows.bySeq(seq) ?? [])
        .filter((row) => inLanes(row) && row.endedAt === undefined && row.dueAt === undefined);
      for (const row of touched) row.announcedAt = model.now();
      return touched.map(toAnnouncement);
    },
    async marked(owner, limit) {
      assertBatch(limit, "marked");
      if (!isOwner(tables, owner)) return stale;
      const now = model.now();
      const stopped = openRows(tables, owner).filter((row) => row.stopRequested);
      const expired = parkedRows(tables, owner)
        .filter((row) => !row.stopRequested && expiryOf(row) <= now)
        .sort((a, b) => expiryOf(a) - expiryOf(b) || a.lane - b.lane);
      return [...stopped, ...expired].slice(0, limit).map(toTaskRow);
    },
    async waiting(queue, { after, limit }) {
      assertBatch(limit, "waiting");
      const found = [...rows.open(queue)]
        .filter((row) => row.dueAt === undefined && (after === undefined || byPriority(row, after) > 0))
        .sort(byPriority)
        .slice(0, limit);
      const last = found.at(-1);
      return {
        announcements: found.map(toAnnouncement),
        last: last && { priority: last.priority, announcedAt: last.announcedAt, seq: last.seq },
      };
    },
    async purge(owner, { endedBefore, limit }) {
      assertBatch(limit, "purge");
      if (!isOwner(tables, owner)) return stale;
      const inLanes = lanesTest(owner);
      const old = [...rows.all()]
        .filter((row) => inLanes(row) && endOf(row) < endedBefore)
        .sort((a, b) => endOf(a) - endOf(b) || a.lane - b.lane)
        .slice(0, limit);
      for (const row of old) {
        rows.delete(row);
        tables.logs.delete(row.seq);
      }
      return old.length;
    },
  };
}

function raiseFloor({ floors }: Tables, { queue, prefix, epoch }: OwnedPartition): boolean {
  const { from, until } = lanesOf(prefix);
  const known = floors.get(queue);
  if (known?.slice(from, until).some((floor) => floor >= epoch)) return false;
  const raised = known ?? new Array<Epoch>(laneCount).fill(0);
  floors.set(queue, raised.fill(epoch, from, until));
  return true;
}

/** Of each priority the rows that are due longest, at most `limit`, so that a crowd of one never hides another. */
function longestDue(due: readonly ParkedRow[], limit: number): ParkedRow[] {
  const sorted = [...due].sort((a, b) => a.dueAt - b.dueAt || a.lane - b.lane);
  return priorities.flatMap((priority) => sorted.filter((row) => row.priority === priority).slice(0, limit));
}

/** Rows in the owner's lanes that are not final, by number. */
function openRows({ rows }: Tables, owner: OwnedPartition): Row[] {
  const inLanes = lanesTest(owner);
  const found: Row[] = [];
  for (const row of rows.open(owner.queue)) {
    if (inLanes(row)) found.push(row);
  }
  return found;
}

/** Those that are there and not final, by number. */
function rowsOf({ rows }: Tables, owner: OwnedPartition, seqs: readonly Seq[]): Row[] {
  const inLanes = lanesTest(owner);
  return [...new Set(seqs)]
    .sort((a, b) => a - b)
    .flatMap((seq) => rows.bySeq(seq) ?? [])
    .filter((row) => inLanes(row) && row.endedAt === undefined);
}

function hasNotStarted({ status }: Row): boolean {
  return status === "Enqueued" || status === "Retrying";
}

type ParkedRow = Row & { readonly dueAt: number };

function parkedRows(tables: Tables, owner: OwnedPartition): ParkedRow[] {
  return openRows(tables, owner).filter((row): row is ParkedRow => row.dueAt !== undefined);
}

function lanesTest({ queue, prefix }: OwnedPartition): (row: Row) => boolean {
  const { from, until } = lanesOf(prefix);
  return (row) => row.queue === queue && row.lane >= from && row.lane < until;
}

type Place = Pick<Row, "announcedAt" | "seq">;

function byAnnouncement(a: Place, b: Place): number {
  return a.announcedAt - b.announcedAt || a.seq - b.seq;
}

function byPriority(a: Place & Pick<Row, "priority">, b: Place & Pick<Row, "priority">): number {
  return a.priority - b.priority || byAnnouncement(a, b);
}

function expiryOf({ expiresAt }: Row): number {
  return expiresAt ?? Number.POSITIVE_INFINITY;
}

function endOf({ endedAt }: Row): number {
  return endedAt ?? Number.POSITIVE_INFINITY;
}
