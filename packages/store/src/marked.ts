import type { OwnedPartition } from "@sluice/core";
import { assertBatch } from "./bounds.ts";
import { fenceParameters, inLanes, inLanesBehind, type Owned, ownedRows, readFence, withOwned } from "./fence.ts";
import type { Stale, TaskRow } from "./index.ts";
import { type TaskRowColumns, taskRowColumns, toTaskRow } from "./rows.ts";
import { nowSql, statement } from "./sql.ts";
import type { Database } from "./sql-store.ts";

/**
 * Indexes: tasks_stop_requested and tasks_parked_expiry. Both hold few rows in a healthy system; the owner asks every
 * second.
 */
export const markedStatement = statement(
  "marked_tasks",
  `
with ${readFence},
found as (
  (
    select ${taskRowColumns("t")}
    from tasks t
    where exists (select from allowed) and ${inLanesBehind("t", "0")} and t.stop_requested and t.ended_at is null
    order by t.queue, t.seq
    limit $5::int8
  )
  union all
  (
    select ${taskRowColumns("t")}
    from tasks t
    where exists (select from allowed) and ${inLanes("t")} and t.due_at is not null and t.expires_at is not null
      and t.expires_at <= ${nowSql("$6")} and not t.stop_requested
    order by t.queue, t.expires_at
    limit $5::int8
  )
  limit $5::int8
)
${withOwned("found r", taskRowColumns("r"))}`,
);

export async function marked(database: Database, owner: OwnedPartition, limit: number): Promise<TaskRow[] | Stale> {
  assertBatch(limit, "marked");
  const parameters = [...fenceParameters(owner), limit, database.now()];
  const rows = ownedRows(await database.sql.query<Owned<TaskRowColumns>>(markedStatement, parameters), "seq");
  return rows === "stale" ? rows : rows.map(toTaskRow);
}
