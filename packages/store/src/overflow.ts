// Rows of flows of which so much waits that their owner cannot keep it in memory: parked with reason `overflow`, and taken out
// again by flow, when its owner has room for them.
import { type Flow, type OwnedPartition, patienceMs, priorities, type Seq, urgency } from "@sluice/core";
import { assertBatch } from "./bounds.ts";
import { fenceParameters, inLanes, type Owned, ownedRows, readFence, withOwned, writeFence } from "./fence.ts";
import type { Announcement, LaneRecords, Stale } from "./index.ts";
import { int8Array } from "./parameters.ts";
import { type AnnouncementColumns, announcementColumns, statusCodes, toAnnouncement } from "./rows.ts";
import { nowSql, statement } from "./sql.ts";
import type { Database } from "./sql-store.ts";

/**
 * Index: tasks_seq. Guards in `coalesce` for the reason given at `writeStatement`. The rows keep status, attempt and
 * counters. They come due no sooner than they are old: one that is parked again and again is so at twice the age each time.
 */
export const parkOverflowStatement = statement(
  "park_overflow",
  `
with ${writeFence},
parked as (
  update tasks t set
    due_at = ${nowSql("$7")} + greatest($6::int8, ${nowSql("$7")} - t.enqueued_at),
    park_reason = 'overflow'
  from (select seq from unnest($5::int8[]) with ordinality as w (seq, n) order by n) as w
  where exists (select from allowed)
    and t.seq = w.seq and ${inLanes("t")} and coalesce(t.ended_at, 0) = 0 and coalesce(t.due_at, 0) = 0
    and t.status in (${statusCodes.Enqueued}, ${statusCodes.Retrying}) and t.announced_at <= $8::int8
  returning t.seq
)
select exists (select from allowed) as owned, coalesce(array_agg(seq), '{}'::int8[]) as seqs from parked`,
);

/** Index: tasks_overflow finds, in the order of urgency; tasks_seq updates, in the order of numbers. */
export const unparkOverflowStatement = statement(
  "unpark_overflow",
  `
with ${writeFence},
found as (
  select c.seq, c.enqueued_at + ('{${priorities.map((priority) => patienceMs[priority]).join(",")}}'::int8[])[p.priority + 1] as urgency
  from unnest('{${priorities.join(",")}}'::int2[]) as p (priority)
  cross join lateral (
    select t.seq, t.enqueued_at
    from tasks t
    where ${inLanes("t")} and t.account_id = $5::text and t.function_name = $6::text and t.priority = p.priority
      and t.park_reason = 'overflow'
    order by t.enqueued_at, t.seq
    limit $7::int8
  ) as c
),
chosen as (
  select seq from (select seq from found order by urgency, seq limit $7::int8) as first order by seq
),
unparked as (
  update tasks t set due_at = null, park_reason = null, stamp = $4::int8, announced_at = ${nowSql("$8")}
  from chosen c
  where exists (select from allowed)
    and t.seq = c.seq and coalesce(t.ended_at, 0) = 0 and coalesce(t.park_reason, '') = 'overflow'
  returning ${announcementColumns("t")}
)
${withOwned("unparked r", announcementColumns("r"))}`,
);

/** Index: tasks_overflow, one step per flow and one per row that is counted. */
export const overflowFlowsStatement = statement(
  "overflow_flows",
  `
with recursive ${readFence},
flows as (
  (
    select t.account_id, t.function_name
    from tasks t
    where exists (select from allowed) and t.park_reason = 'overflow'
      and (t.queue, t.account_id, t.function_name) > ($1::text, '', '') and t.queue <= $1::text
    order by t.queue, t.account_id, t.function_name
    limit 1
  )
  union all
  select n.account_id, n.function_name
  from flows f
  cross join lateral (
    select t.account_id, t.function_name
    from tasks t
    where t.park_reason = 'overflow'
      and (t.queue, t.account_id, t.function_name) > ($1::text, f.account_id, f.function_name) and t.queue <= $1::text
    order by t.queue, t.account_id, t.function_name
    limit 1
  ) as n
),
mine as (
  select f.account_id, f.function_name, counted.parked
  from flows f
  cross join lateral (
    select count(*) as parked
    from (
      select from tasks t
      where ${inLanes("t")} and t.account_id = f.account_id and t.function_name = f.function_name
        and t.park_reason = 'overflow'
      limit $6::int8
    ) as parked
  ) as counted
  where counted.parked > 0
  limit $5::int8
)
${withOwned("mine r", "r.account_id, r.function_name, r.parked")}`,
);

export async function parkOverflow(
  database: Database,
  owner: OwnedPartition,
  seqs: readonly Seq[],
  { dueInMs, announcedUntil }: Parameters<LaneRecords["parkOverflow"]>[2],
): Promise<readonly Seq[] | Stale> {
  assertBatch(seqs, "park overflow");
  const sorted = [...new Set(seqs)].sort((a, b) => a - b);
  const parameters = [
    ...fenceParameters(owner),
    ...[int8Array(sorted), Math.ceil(dueInMs), database.now(), Math.floor(announcedUntil)],
  ];
  const [row] = await database.sql.query<{ owned: boolean; seqs: readonly Seq[] }>(parkOverflowStatement, parameters);
  return row?.owned === true ? row.seqs : "stale";
}

export async function unparkOverflow(
  database: Database,
  owner: OwnedPartition,
  { accountId, functionName }: Flow,
  limit: number,
): Promise<Announcement[] | Stale> {
  assertBatch(limit, "unpark overflow");
  const parameters = [...fenceParameters(owner), accountId, functionName, limit, database.now()];
  const rows = ownedRows(
    await database.sql.query<Owned<AnnouncementColumns>>(unparkOverflowStatement, parameters),
    "seq",
  );
  if (rows === "stale") return rows;
  return rows.map(toAnnouncement).sort((a, b) => urgency(a) - urgency(b) || a.seq - b.seq);
}

export async function overflowFlows(
  database: Database,
  owner: OwnedPartition,
  { limit, countMax }: Parameters<LaneRecords["overflowFlows"]>[1],
): ReturnType<LaneRecords["overflowFlows"]> {
  assertBatch(limit, "overflow flows");
  const parameters = [...fenceParameters(owner), limit, countMax];
  const answer = await database.sql.query<Owned<OverflowFlowColumns>>(overflowFlowsStatement, parameters);
  const rows = ownedRows(answer, "account_id");
  if (rows === "stale") return rows;
  return rows.map(({ account_id, function_name, parked }) => ({
    ...({ accountId: account_id, functionName: function_name } as Flow),
    parked,
  }));
}

type OverflowFlowColumns = Pick<AnnouncementColumns, "account_id" | "function_name"> & { readonly parked: number };
