import { type OwnedPartition, patienceMs, priorities, type Seq, urgency } from "@sluice/core";
import { assertBatch } from "./bounds.ts";
import { fenceParameters, inLanes, type Owned, ownedRows, withOwned, writeFence } from "./fence.ts";
import type { Announcement, Stale } from "./index.ts";
import { int8Array } from "./parameters.ts";
import { type AnnouncementColumns, announcementColumns, toAnnouncement } from "./rows.ts";
import { nowSql, statement } from "./sql.ts";
import type { Database } from "./sql-store.ts";

/**
 * Index: tasks_parked finds, tasks_seq updates.
 *
 * Of each priority the rows that are due longest, and of those the most urgent. Within a priority this is the order of
 * their becoming due, not of their submission: the exact order of urgency would need to look at every due row, and there
 * may be a million of them. Across priorities, which is what urgency is for, it is exact.
 *
 * The update sees rows in the order of their numbers, as every write of many rows does.
 */
export const unparkStatement = statement(
  "unpark_tasks",
  `
with ${writeFence},
due as (
  select c.seq, c.enqueued_at + ('{${priorities.map((priority) => patienceMs[priority]).join(",")}}'::int8[])[p.priority + 1] as urgency
  from unnest('{${priorities.join(",")}}'::int2[]) as p (priority)
  cross join lateral (
    select t.seq, t.enqueued_at
    from tasks t
    where ${inLanes("t")} and t.priority = p.priority and t.due_at is not null and t.due_at <= ${nowSql("$7")}
      and t.seq <> all ($6::int8[])
    order by t.due_at
    limit $5::int8
  ) as c
),
chosen as (
  select seq from (select seq from due order by urgency, seq limit $5::int8) as first order by seq
),
unparked as (
  update tasks t set due_at = null, park_reason = null, stamp = $4::int8, announced_at = ${nowSql("$7")}
  from chosen c
  where exists (select from allowed)
    and t.seq = c.seq and coalesce(t.ended_at, 0) = 0 and coalesce(t.due_at, ${2 ** 53}) <= ${nowSql("$7")}
  returning ${announcementColumns("t")}
)
${withOwned("unparked r", announcementColumns("r"))}`,
);

/**
 * Index: tasks_parked, its first entry of each priority in these lanes. Only as far as `$4` ms from now: a million rows that
 * are parked for an hour in lanes of others would be passed at every look.
 */
export const dueInStatement = statement(
  "due_in",
  `
select min(first.due_at) - ${nowSql("$5")} as due_in
from unnest('{${priorities.join(",")}}'::int2[]) as p (priority)
cross join lateral (
  select t.due_at
  from tasks t
  where t.queue = $1::text and t.lane >= $2::int2 and t.lane < $3::int2 and t.priority = p.priority
    and t.due_at is not null and t.due_at <= ${nowSql("$5")} + $4::int8
  order by t.due_at
  limit 1
) as first`,
);

export async function unpark(
  database: Database,
  owner: OwnedPartition,
  options: { readonly limit: number; readonly except: readonly Seq[] },
): Promise<Announcement[] | Stale> {
  assertBatch(options.limit, "unpark");
  assertBatch(options.except, "unpark except");
  const parameters = [...fenceParameters(owner), options.limit, int8Array(options.except), database.now()];
  const rows = ownedRows(await database.sql.query<Owned<AnnouncementColumns>>(unparkStatement, parameters), "seq");
  if (rows === "stale") return rows;
  return rows.map(toAnnouncement).sort((a, b) => urgency(a) - urgency(b) || a.seq - b.seq);
}

export async function dueIn(database: Database, owner: OwnedPartition, withinMs: number): Promise<number | undefined> {
  const [queue, from, until] = fenceParameters(owner);
  const parameters = [queue, from, until, withinMs, database.now()];
  const [row] = await database.sql.query<{ due_in: number | null }>(dueInStatement, parameters);
  return row?.due_in ?? undefined;
}
