// Rows that should have a message in the queue: the sweeper compares them with what it knows, and an embedded queue is
// rebuilt from them.
import type { EpochMs, OwnedPartition, Seq } from "@sluice/core";
import { assertBatch } from "./bounds.ts";
import {
  fenceParameters,
  inLanes,
  inLanesBehind,
  inQueueBehind,
  type Owned,
  ownedRows,
  readFence,
  withOwned,
  writeFence,
} from "./fence.ts";
import type { Announcement, Stale } from "./index.ts";
import { int8Array } from "./parameters.ts";
import { type AnnouncementColumns, announcementColumns, toAnnouncement } from "./rows.ts";
import { nowSql, statement } from "./sql.ts";
import type { Database } from "./sql-store.ts";

/** Index: tasks_waiting, from the last number on. */
export const sweepStatement = statement(
  "sweep_tasks",
  `
with ${readFence},
found as (
  select ${announcementColumns("t")}
  from tasks t
  where exists (select from allowed)
    and ${inLanesBehind("t", "$5")} and t.ended_at is null and t.due_at is null and t.announced_at < $6::int8
  order by t.queue, t.seq
  limit $7::int8
)
${withOwned("found r", announcementColumns("r"))}`,
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
)
select exists (select from allowed) as owned`,
);

/**
 * Index: tasks_waiting, from the last number on. A page of 10,000 rows arrives as few groups with arrays of numbers: 2 µs a
 * row instead of 13, so that an embedded queue of a million tasks is rebuilt in seconds.
 */
export const waitingStatement = statement(
  "waiting_tasks",
  `
select p.account_id, p.function_name, p.lane, p.priority, array_agg(p.seq) as seqs, array_agg(p.enqueued_at) as times
from (
  select ${announcementColumns("t")}
  from tasks t
  where ${inQueueBehind("t", "$2")} and t.ended_at is null and t.due_at is null
  order by t.queue, t.seq
  limit $3::int8
) as p
group by p.account_id, p.function_name, p.lane, p.priority`,
);

interface GroupColumns extends Omit<AnnouncementColumns, "seq" | "enqueued_at"> {
  readonly seqs: readonly Seq[];
  readonly times: readonly EpochMs[];
}

export async function sweep(
  database: Database,
  owner: OwnedPartition,
  options: { readonly announcedBefore: EpochMs; readonly after: Seq; readonly limit: number },
): Promise<Announcement[] | Stale> {
  assertBatch(options.limit, "sweep");
  const parameters = [...fenceParameters(owner), options.after, options.announcedBefore, options.limit];
  const rows = ownedRows(await database.sql.query<Owned<AnnouncementColumns>>(sweepStatement, parameters), "seq");
  return rows === "stale" ? rows : rows.map(toAnnouncement);
}

export async function touch(
  database: Database,
  owner: OwnedPartition,
  seqs: readonly Seq[],
): Promise<undefined | Stale> {
  assertBatch(seqs, "touch");
  const sorted = [...new Set(seqs)].sort((a, b) => a - b);
  const parameters = [...fenceParameters(owner), int8Array(sorted), database.now()];
  const [row] = await database.sql.query<{ owned: boolean }>(touchStatement, parameters);
  return row?.owned === true ? undefined : "stale";
}

export async function waiting(
  database: Database,
  queue: string,
  options: { readonly after: Seq; readonly limit: number },
): Promise<Announcement[]> {
  assertBatch(options.limit, "waiting");
  const parameters = [queue, options.after, options.limit];
  const groups = await database.sql.query<GroupColumns>(waitingStatement, parameters);
  return groups.flatMap(announcementsOf).sort((a, b) => a.seq - b.seq);
}

function announcementsOf({ seqs, times, ...group }: GroupColumns): Announcement[] {
  return seqs.map((seq, index) => toAnnouncement({ ...group, seq, enqueued_at: times[index] ?? 0 }));
}
