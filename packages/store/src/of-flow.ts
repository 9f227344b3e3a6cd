// Rows of one flow that wait, for moving them to another queue; and which queues have any rows to do.
import type { Flow, OwnedPartition } from "@sluice/core";
import { assertBatch } from "./bounds.ts";
import { fenceParameters, readFence } from "./fence.ts";
import type { LaneRecords, MovablePage, MovableRow, Stale } from "./index.ts";
import { shownStatus, statusCodes } from "./rows.ts";
import { statement } from "./sql.ts";
import type { Database } from "./sql-store.ts";

/**
 * Index: tasks_status, which has the rows of an account that wait, wherever they lie, and none that are final. A page is looked
 * at as far as `$10`, whatever is found in it: an account may have a million rows of other functions.
 */
export const movableStatement = statement(
  "movable_tasks",
  `
with ${readFence},
page as materialized (
  select t.seq, t.enqueued_at, t.function_name, t.queue, t.lane, t.priority, t.attempt, t.retries, t.lost_attempts, t.stamp,
    t.announced_at, t.due_at, t.park_reason
  from tasks t
  where exists (select from allowed)
    and t.account_id = $5::text and t.status <> ${statusCodes.Succeeded} and ${shownStatus("t")} = $7::int2
    and (t.enqueued_at, t.seq) > ($8::int8, $9::int8)
  order by t.account_id, ${shownStatus("t")}, t.enqueued_at, t.seq
  limit $10::int8
),
last as (
  select p.enqueued_at, p.seq from page p order by p.enqueued_at desc, p.seq desc limit 1
),
found as (
  select p.* from page p
  where p.function_name = $6::text and p.queue = $1::text and p.lane >= $2::int2 and p.lane < $3::int2
    and (p.due_at is null or p.park_reason = 'overflow')
)
select o.owned, l.enqueued_at as last_at, l.seq as last_seq,
  r.seq, r.enqueued_at, r.lane, r.priority, r.attempt, r.retries, r.lost_attempts, r.stamp,
  r.announced_at
from (select exists (select from allowed) as owned) o left join last l on true left join found r on true
order by r.enqueued_at, r.seq`,
);

/**
 * Indexes: tasks_waiting and tasks_parked, one step per queue, however many rows it has; operations_open and the primary key of
 * operation_lanes. Not the queues that have a floor: a row may lie in one that nobody ever owned, because whoever was to own it
 * did not come to it.
 */
export const queuesInUseStatement = statement(
  "queues_in_use",
  `
with recursive waiting as (
  (
    select t.queue from tasks t
    where t.ended_at is null and t.due_at is null
    order by t.queue, t.priority, t.announced_at
    limit 1
  )
  union all
  select n.queue
  from waiting w
  cross join lateral (
    select t.queue from tasks t
    where t.ended_at is null and t.due_at is null and t.queue > w.queue
    order by t.queue, t.priority, t.announced_at
    limit 1
  ) as n
),
parked as (
  (
    select t.queue from tasks t
    where t.due_at is not null
    order by t.queue, t.priority, t.due_at
    limit 1
  )
  union all
  select n.queue
  from parked p
  cross join lateral (
    select t.queue from tasks t
    where t.due_at is not null and t.queue > p.queue
    order by t.queue, t.priority, t.due_at
    limit 1
  ) as n
)
select w.queue from waiting w
union select p.queue from parked p
union (
  select l.queue
  from (select operation_number from operations where cancelled_at is null and finished_at is null) as o
  cross join lateral (
    select l.queue from operation_lanes l
    where l.operation_number = o.operation_number and l.finished_at is null
  ) as l
)
order by queue`,
);

interface Columns {
  readonly owned: boolean;
  readonly last_at: number | null;
  readonly last_seq: number | null;
  readonly seq: number | null;
  readonly enqueued_at: number;
  readonly lane: number;
  readonly priority: number;
  readonly attempt: number;
  readonly retries: number;
  readonly lost_attempts: number;
  readonly stamp: number;
  readonly announced_at: number;
}

export async function movable(
  database: Database,
  owner: OwnedPartition,
  { flow, status, after, limit }: Parameters<LaneRecords["movable"]>[1],
): Promise<MovablePage | Stale> {
  assertBatch(limit, "movable");
  const { accountId, functionName } = flow;
  const parameters = [
    ...[...fenceParameters(owner), accountId, functionName, statusCodes[status]],
    ...[after.enqueuedAt, after.seq, limit],
  ];
  const answer = await database.sql.query<Columns>(movableStatement, parameters);
  const [first] = answer;
  if (first?.owned !== true) return "stale";
  const { last_at: enqueuedAt, last_seq: lastSeq } = first;
  return {
    rows: answer.flatMap((row) => (row.seq === null ? [] : toMovable({ ...row, seq: row.seq }, flow, status))),
    last: enqueuedAt === null || lastSeq === null ? undefined : { enqueuedAt, seq: lastSeq },
  };
}

function toMovable(
  row: Columns & { readonly seq: number },
  { accountId, functionName }: Flow,
  status: MovableRow["status"],
): MovableRow {
  return {
    accountId,
    functionName,
    status,
    seq: row.seq,
    lane: row.lane,
    priority: row.priority as MovableRow["priority"],
    attempt: row.attempt,
    retries: row.retries,
    lostAttempts: row.lost_attempts,
    stamp: row.stamp,
    enqueuedAt: row.enqueued_at,
    announcedAt: row.announced_at,
  };
}

export async function queuesInUse(database: Database): Promise<string[]> {
  const rows = await database.sql.query<{ queue: string }>(queuesInUseStatement);
  return rows.map(({ queue }) => queue);
}
