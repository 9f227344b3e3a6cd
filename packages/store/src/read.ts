import type { OwnedPartition, Seq } from "@sluice/core";
import { assertBatch } from "./bounds.ts";
import { fenceParameters, type Owned, ownedRows, readFence, withOwned } from "./fence.ts";
import type { Stale, TaskRow } from "./index.ts";
import { int8Array } from "./parameters.ts";
import { type TaskRowColumns, taskRowColumns, toTaskRow } from "./rows.ts";
import { statement } from "./sql.ts";
import type { Database } from "./sql-store.ts";

/**
 * Index: tasks_seq. A message may name a row of another queue, so the queue is compared; dressed in `coalesce`, because the
 * partial indexes on (queue, …) do not fit here.
 */
export const readStatement = statement(
  "read_tasks",
  `
with ${readFence},
found as (
  select ${taskRowColumns("t")}
  from unnest($5::int8[]) as wanted (seq) join tasks t on t.seq = wanted.seq
  where exists (select from allowed) and coalesce(t.queue, '') = $1::text
)
${withOwned("found r", taskRowColumns("r"))}`,
);

export async function read(
  database: Database,
  owner: OwnedPartition,
  seqs: readonly Seq[],
): Promise<TaskRow[] | Stale> {
  assertBatch(seqs, "read");
  const parameters = [...fenceParameters(owner), int8Array([...new Set(seqs)])];
  const rows = ownedRows(await database.sql.query<Owned<TaskRowColumns>>(readStatement, parameters), "seq");
  return rows === "stale" ? rows : rows.map(toTaskRow);
}
