import type { EpochMs, OwnedPartition } from "@sluice/core";
import { assertBatch } from "./bounds.ts";
import { fenceParameters, inLanes, writeFence } from "./fence.ts";
import type { Stale } from "./index.ts";
import { statement } from "./sql.ts";
import type { Database } from "./sql-store.ts";

/**
 * Indexes: tasks_ended finds the oldest, tasks_seq deletes, the primary key of log_pieces deletes their logs. A final row
 * changes no more, so nothing has to be checked again.
 */
export const purgeStatement = statement(
  "purge_tasks",
  `
with ${writeFence},
old as (
  select t.seq
  from tasks t
  where ${inLanes("t")} and t.ended_at is not null and t.ended_at < $5::int8
  order by t.queue, t.ended_at
  limit $6::int8
),
purged as (
  delete from tasks t using (select seq from old order by seq) as o
  where exists (select from allowed) and t.seq = o.seq
  returning t.seq
),
logs as (
  delete from log_pieces l using purged p where l.task_seq = p.seq
)
select exists (select from allowed) as owned, (select count(*) from purged) as purged`,
);

export async function purge(
  database: Database,
  owner: OwnedPartition,
  options: { readonly endedBefore: EpochMs; readonly limit: number },
): Promise<number | Stale> {
  assertBatch(options.limit, "purge");
  const parameters = [...fenceParameters(owner), options.endedBefore, options.limit];
  const [row] = await database.sql.query<{ owned: boolean; purged: number }>(purgeStatement, parameters);
  return row?.owned === true ? row.purged : "stale";
}
