// What owners do with many rows at once. Each statement is one write per row, and notes the progress of its lanes.
import type { OwnedPartition, Seq } from "@sluice/core";
import { priorities } from "@sluice/core";
import { type BatchRecords, endedPauses, type OperationRecord, pausedUntil } from "./batch.ts";
import { assertBatch } from "./bounds.ts";
import { addEvents } from "./events.ts";
import { fenceParameters, inLanes, type Owned, ownedRows, withOwned, writeFence } from "./fence.ts";
import type { Announcement, Stale } from "./index.ts";
import { matching } from "./matching.ts";
import { int8Array } from "./parameters.ts";
import { type AnnouncementColumns, announcementColumns, statusCodes, toAnnouncement } from "./rows.ts";
import { nowSql, type Parameter, type Statement, statement } from "./sql.ts";
import type { Database } from "./sql-store.ts";

const given = `
given as (
  select w.seq from unnest($6::int8[]) with ordinality as w (seq, n) order by w.n
)`;

/** `$5` is the operation's number. */
function progress(source: string, counts: { matched?: string; done?: string; failed?: string }): string {
  const { matched = "0", done = "0", failed = "0" } = counts;
  return `
progress as (
  insert into operation_lanes as p (operation_number, queue, lane, matched, done, failed)
  select $5::int8, $1::text, s.lane, ${matched}, ${done}, ${failed} from ${source} s group by s.lane
  on conflict (operation_number, queue, lane) do update
    set matched = p.matched + excluded.matched, done = p.done + excluded.done, failed = p.failed + excluded.failed
)`;
}

/** `$7` is the time, `$8` the operation's id. */
function eventOfOperation(status: "Stopped" | "Stopping"): string {
  return `jsonb_build_array(jsonb_build_object(
      'status', '${status}', 'at', ${nowSql("$7")}, 'attempt', t.attempt,
      'detail', jsonb_build_object('operation', $8::text)
    ))`;
}

const seqsOf = (source: string) =>
  `select exists (select from allowed) as owned, coalesce(array_agg(s.seq), '{}'::int8[]) as seqs from ${source} s`;

/** Index: tasks_seq. Guards in `coalesce` for the reason given at `writeStatement`. As a task that is stopped while it waits. */
export const stopTasksStatement = statement(
  "stop_tasks",
  `
with ${writeFence}, ${given},
stopped as (
  update tasks t set
    status = ${statusCodes.Stopped}, ended_at = ${nowSql("$7")}, stop_requested = true, due_at = null, park_reason = null,
    result = ''::bytea, error = null, started_at = null, agent_id = null, instance_id = null,
    ${addEvents("t", { events: eventOfOperation("Stopped"), count: "1" })}
  from given w
  where exists (select from allowed) and t.seq = w.seq and ${inLanes("t")} and coalesce(t.ended_at, 0) = 0
  returning t.seq, t.lane
),
${progress("stopped", { matched: "count(*)", done: "count(*)" })}
${seqsOf("stopped")}`,
);

/** Indexes: tasks_seq, the primary key of log_pieces. A marked row was counted when it was marked. */
export const deleteTasksStatement = statement(
  "delete_tasks",
  `
with ${writeFence}, ${given},
deleted as (
  delete from tasks t using given w
  where exists (select from allowed) and t.seq = w.seq and ${inLanes("t")}
  returning t.seq, t.lane, t.operation
),
logs as (
  delete from log_pieces l using deleted d where l.task_seq = d.seq
),
${progress("deleted", { matched: "count(*) filter (where s.operation is distinct from $5::int8)", done: "count(*)" })}
${seqsOf("deleted")}`,
);

/** Index: tasks_seq. */
export const markTasksStatement = statement(
  "mark_tasks",
  `
with ${writeFence}, ${given},
marked as (
  update tasks t set
    stop_requested = true, operation = $5::int8,
    ${addEvents("t", { events: eventOfOperation("Stopping"), count: "1", unless: "t.stop_requested" })}
  from given w
  where exists (select from allowed) and t.seq = w.seq and ${inLanes("t")} and coalesce(t.ended_at, 0) = 0
    and coalesce(t.operation, 0) <> $5::int8 and coalesce(t.operation, 0) <> all ($9::int8[])
  returning t.seq, t.lane
),
${progress("marked", { matched: "count(*)" })}
${seqsOf("marked")}`,
);

const ended = `
marked as materialized (
  select t.seq, t.lane, t.status, coalesce(t.ended_at, 0) > 0 as is_final
  from tasks t
  where t.operation = $5::int8 and ${inLanes("t")}
  order by t.operation, t.queue, t.lane, t.seq
),
given as (
  select m.seq from marked m where m.is_final order by m.seq limit $6::int8
)`;
const collected = `
select exists (select from allowed) as owned, (select coalesce(array_agg(c.seq), '{}'::int8[]) from collected c) as collected,
  (select count(*) from marked m where not m.is_final) as left_over`;

/** Indexes: tasks_operation finds, tasks_seq updates. */
export const collectStoppedStatement = statement(
  "collect_stopped",
  `
with ${writeFence}, ${ended},
collected as (
  update tasks t set operation = null from given w
  where exists (select from allowed) and t.seq = w.seq
  returning t.seq, t.lane, t.status
),
${progress("collected", {
  done: `count(*) filter (where s.status = ${statusCodes.Stopped})`,
  failed: `count(*) filter (where s.status <> ${statusCodes.Stopped})`,
})}
${collected}`,
);

/** Indexes: tasks_operation finds, tasks_seq deletes, the primary key of log_pieces deletes their logs. */
export const collectDeletedStatement = statement(
  "collect_deleted",
  `
with ${writeFence}, ${ended},
collected as (
  delete from tasks t using given w
  where exists (select from allowed) and t.seq = w.seq
  returning t.seq, t.lane
),
logs as (
  delete from log_pieces l using collected d where l.task_seq = d.seq
),
${progress("collected", { done: "count(*)" })}
${collected}`,
);

/** Index: tasks_operation. Lanes with marked rows stay open. */
export const closeLanesStatement = statement(
  "close_lanes",
  `
with ${writeFence},
closed as (
  insert into operation_lanes as p (operation_number, queue, lane, finished_at)
  select $5::int8, $1::text, l.lane, ${nowSql("$6")}
  from generate_series($2::int4, $3::int4 - 1) as l (lane)
  where exists (select from allowed)
    and not exists (
      select from tasks t where t.operation = $5::int8 and t.queue = $1::text and t.lane = l.lane::int2
      order by t.operation, t.queue, t.lane
    )
  on conflict (operation_number, queue, lane) do update set finished_at = coalesce(p.finished_at, excluded.finished_at)
)
select exists (select from allowed) as owned`,
);

/** Indexes: tasks_parked finds, as every pause has an end of its own; tasks_seq updates. */
export const resumeTasksStatement = statement(
  "resume_tasks",
  `
with ${writeFence},
found as (
  select c.seq
  from unnest($5::int8[], $6::int8[]) as gap (from_at, until_at)
  cross join unnest('{${priorities.join(",")}}'::int2[]) as p (priority)
  cross join lateral (
    select t.seq
    from tasks t
    where ${inLanes("t")} and t.priority = p.priority and t.due_at is not null
      and t.due_at > gap.from_at and t.due_at < gap.until_at
    order by t.due_at
    limit $7::int8
  ) as c
  limit $7::int8
),
resumed as (
  update tasks t set due_at = null, park_reason = null, stamp = $4::int8, announced_at = ${nowSql("$8")}
  from (select seq from found order by seq) c
  where exists (select from allowed)
    and t.seq = c.seq and coalesce(t.ended_at, 0) = 0 and coalesce(t.due_at, 0) > ${pausedUntil(0)}
  returning ${announcementColumns("t")}
)
${withOwned("resumed r", announcementColumns("r"))}`,
);

export function batchRecords(database: Database): BatchRecords {
  async function seqs(statement: Statement, parameters: readonly Parameter[]): Promise<readonly Seq[] | Stale> {
    const [row] = await database.sql.query<{ owned: boolean; seqs: readonly Seq[] }>(statement, parameters);
    return row?.owned === true ? row.seqs : "stale";
  }

  return {
    matching: (owner, operation, options) => matching(database, owner, operation, options),
    stop: (owner, operation, given) =>
      seqs(stopTasksStatement, [...writeParameters(owner, operation, given), database.now(), operation.operationId]),
    delete: (owner, operation, given) => seqs(deleteTasksStatement, writeParameters(owner, operation, given)),
    mark: (owner, operation, given, open) => {
      const others = int8Array(open.filter((number) => number !== operation.number));
      const parameters = [...writeParameters(owner, operation, given), database.now(), operation.operationId, others];
      return seqs(markTasksStatement, parameters);
    },
    async collect(owner, { kind, number }, limit) {
      assertBatch(limit, "collect");
      const statement = kind === "stop" ? collectStoppedStatement : collectDeletedStatement;
      const parameters = [...fenceParameters(owner), number, limit];
      type Row = { owned: boolean; collected: readonly Seq[]; left_over: number };
      const [row] = await database.sql.query<Row>(statement, parameters);
      if (row?.owned !== true) return "stale";
      return { collected: row.collected, left: row.left_over };
    },
    async closeLanes(owner, { number }) {
      const parameters = [...fenceParameters(owner), number, database.now()];
      const [row] = await database.sql.query<{ owned: boolean }>(closeLanesStatement, parameters);
      return row?.owned === true ? true : "stale";
    },
    async resume(owner, active, limit): Promise<Announcement[] | Stale> {
      assertBatch(limit, "resume");
      const gaps = endedPauses(active);
      const bounds = [int8Array(gaps.map(({ from }) => from)), int8Array(gaps.map(({ until }) => until))];
      const parameters = [...fenceParameters(owner), ...bounds, limit, database.now()];
      const rows = ownedRows(
        await database.sql.query<Owned<AnnouncementColumns>>(resumeTasksStatement, parameters),
        "seq",
      );
      return rows === "stale" ? rows : rows.map(toAnnouncement).sort((a, b) => a.seq - b.seq);
    },
  };
}

function writeParameters(owner: OwnedPartition, { number }: OperationRecord, given: readonly Seq[]): Parameter[] {
  assertBatch(given, "tasks of an operation");
  const sorted = [...new Set(given)].sort((a, b) => a - b);
  return [...fenceParameters(owner), number, int8Array(sorted)];
}
