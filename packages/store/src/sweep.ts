// Rows that should have a message in the queue: the sweeper compares them with what it knows, and an embedded queue is
// rebuilt from them.
import type { EpochMs, OwnedPartition, Priority, Seq } from "@sluice/core";
import { assertBatch } from "./bounds.ts";
import { fenceParameters, inLanes, type Owned, ownedRows, readFence, withOwned, writeFence } from "./fence.ts";
import type { Announced, Announcement, LaneRecords, Stale, Swept, WaitingPage } from "./index.ts";
import { int8Array } from "./parameters.ts";
import { type AnnouncementColumns, announcementColumns, toAnnouncement } from "./rows.ts";
import { nowSql, statement } from "./sql.ts";
import type { Database } from "./sql-store.ts";

/**
 * Index: tasks_waiting, a range of it, without a look at the table where it was vacuumed. Numbers only, as an array: 2 µs a
 * row instead of 5, because nearly always the owner knows them all.
 */
export const sweepStatement = statement(
  "sweep_tasks",
  `
with ${readFence},
found as (
  select t.announced_at, t.seq
  from tasks t
  where exists (select from allowed)
    and ${inLanes("t")} and t.priority = $5::int2 and t.ended_at is null and t.due_at is null
    and (t.announced_at, t.seq) > ($6::int8, $7::int8) and t.announced_at < $8::int8
  order by t.announced_at, t.seq
  limit $9::int8
)
select exists (select from allowed) as owned, coalesce(array_agg(f.seq), '{}'::int8[]) as seqs, max(f.announced_at) as announced_at
from found f`,
);

/** Index: tasks_seq. Guards in `coalesce` for the reason given at `writeStatement`. */
export const touchStatement = statement(
  "touch_tasks",
  `
with ${writeFence},
touched as (
  update tasks t set announced_at = ${nowSql("$6")}
  from (select seq from unnest($5::int8[]) with ordinality as w (seq, n) order by n) as w
  where exists (select from allowed)
    and t.seq = w.seq and ${inLanes("t")} and coalesce(t.ended_at, 0) = 0 and coalesce(t.due_at, 0) = 0
  returning ${announcementColumns("t")}
)
${withOwned("touched r", announcementColumns("r"))}`,
);

/**
 * Index: tasks_waiting, from the last row on. A page of 10,000 rows arrives as few groups with arrays of numbers: 2 µs a
 * row instead of 13, so that an embedded queue of a million tasks is rebuilt in seconds.
 */
export const waitingStatement = statement(
  "waiting_tasks",
  `
with page as materialized (
  select ${announcementColumns("t")}, t.announced_at
  from tasks t
  where t.queue = $1::text and t.ended_at is null and t.due_at is null
    and (t.priority, t.announced_at, t.seq) > ($2::int2, $3::int8, $4::int8)
  order by t.priority, t.announced_at, t.seq
  limit $5::int8
)
select p.account_id, p.function_name, p.lane, p.priority, array_agg(p.seq) as seqs, array_agg(p.enqueued_at) as times,
  array_agg(p.announced_at) as announced
from page p
group by p.account_id, p.function_name, p.lane, p.priority`,
);

interface GroupColumns extends Omit<AnnouncementColumns, "seq" | "enqueued_at"> {
  readonly seqs: readonly Seq[];
  readonly times: readonly EpochMs[];
  readonly announced: readonly EpochMs[];
}

export async function sweep(
  database: Database,
  owner: OwnedPartition,
  options: Parameters<LaneRecords["sweep"]>[1],
): Promise<Swept | Stale> {
  const { priority, after, announcedBefore, limit } = options;
  assertBatch(limit, "sweep");
  const parameters = [
    ...[...fenceParameters(owner), priority],
    ...[after.announcedAt, after.seq, Math.min(announcedBefore, Number.MAX_SAFE_INTEGER), limit],
  ];
  const [row] = await database.sql.query<{ owned: boolean; seqs: Seq[]; announced_at: EpochMs | null }>(
    sweepStatement,
    parameters,
  );
  if (row?.owned !== true) return "stale";
  const { seqs, announced_at: announcedAt } = row;
  const seq = seqs.at(-1);
  return { seqs, last: seq === undefined || announcedAt === null ? undefined : { announcedAt, seq } };
}

export async function touch(
  database: Database,
  owner: OwnedPartition,
  seqs: readonly Seq[],
): Promise<Announcement[] | Stale> {
  assertBatch(seqs, "touch");
  const sorted = [...new Set(seqs)].sort((a, b) => a - b);
  const parameters = [...fenceParameters(owner), int8Array(sorted), database.now()];
  const rows = ownedRows(await database.sql.query<Owned<AnnouncementColumns>>(touchStatement, parameters), "seq");
  return rows === "stale" ? rows : rows.map(toAnnouncement);
}

const beforeAll = { priority: -1, announcedAt: 0, seq: 0 };

export async function waiting(
  database: Database,
  queue: string,
  options: Parameters<LaneRecords["waiting"]>[1],
): Promise<WaitingPage> {
  assertBatch(options.limit, "waiting");
  const { priority, announcedAt, seq } = options.after ?? beforeAll;
  const parameters = [queue, priority, announcedAt, seq, options.limit];
  const groups = await database.sql.query<GroupColumns>(waitingStatement, parameters);
  const rows = groups
    .flatMap(rowsOf)
    .sort((a, b) => a.priority - b.priority || a.announcedAt - b.announcedAt || a.seq - b.seq);
  const last = rows.at(-1);
  return {
    announcements: rows.map(({ announcement }) => announcement),
    last: last && { priority: last.priority, announcedAt: last.announcedAt, seq: last.seq },
  };
}

interface WaitingRow extends Announced {
  readonly priority: Priority;
  readonly announcement: Announcement;
}

function rowsOf({ seqs, times, announced, ...group }: GroupColumns): WaitingRow[] {
  return seqs.map((seq, index) => {
    const announcement = toAnnouncement({ ...group, seq, enqueued_at: times[index] ?? 0 });
    return { priority: announcement.priority, announcedAt: announced[index] ?? 0, seq, announcement };
  });
}
