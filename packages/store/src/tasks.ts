// What api-servers ask about single tasks and accounts. Every statement but the one that agents ask for is scoped by the account.
import type { AccountId, Task } from "@sluice/core";
import { assertBatch } from "./bounds.ts";
import { addEvents } from "./events.ts";
import type { AttemptNumber, TaskKey } from "./index.ts";
import { int4Array, int8Array } from "./parameters.ts";
import { shownStatus, statusCodes, type TaskColumns, taskColumns, toTask } from "./rows.ts";
import { nowSql, statement } from "./sql.ts";
import type { Database } from "./sql-store.ts";
import { keyArrays, sameKey, taskByKey } from "./task-key.ts";

const everything = { payload: true, result: true, events: true };

/** Index: the primary key. */
export const getStatement = statement(
  "get_task",
  `
select ${taskColumns("t", everything)}
from (values ($1::text, $2::text, $3::text)) as k (account_id, function_name, task_id)
cross join lateral (${taskByKey("k")}) as t
where ${sameKey("t", "k")}`,
);

/**
 * Indexes: the primary key finds, tasks_seq updates. A mark, not a settlement: the row belongs to the owner of its lane.
 * The first request leaves a step in the timeline; later ones meet the guard, also those that waited for it.
 */
export const requestStopStatement = statement(
  "request_stop",
  `
update tasks t set
  stop_requested = true,
  ${addEvents("t", {
    events: `jsonb_build_array(jsonb_build_object('status', 'Stopping', 'at', ${nowSql("$4")}, 'attempt', t.attempt))`,
    count: "1",
  })}
from (values ($1::text, $2::text, $3::text)) as k (account_id, function_name, task_id)
cross join lateral (${taskByKey("k")}) as found
where t.seq = found.seq and ${sameKey("found", "k")} and coalesce(t.ended_at, 0) = 0 and not t.stop_requested`,
);

/** Index: tasks_status, which alone has this order. */
export const countWaitingStatement = statement(
  "count_waiting",
  `
select count(*) as waiting
from (
  select from tasks t
  where t.account_id = $1::text and t.status <> ${statusCodes.Succeeded} and ${shownStatus("t")} < ${statusCodes.Succeeded}
  order by t.account_id, ${shownStatus("t")}
  limit $2::int8
) as waiting`,
);

/** Index: the primary key. */
export const knownStatement = statement(
  "known_tasks",
  `
select k.n::int4 as n
from unnest($1::text[], $2::text[], $3::text[]) with ordinality as k (account_id, function_name, task_id, n)
cross join lateral (${taskByKey("k")}) as t
where ${sameKey("t", "k")}`,
);

/** Index: tasks_seq. */
export const settledStatement = statement(
  "settled_attempts",
  `
select g.n::int4 as n
from unnest($1::int8[], $2::int4[]) with ordinality as g (seq, attempt, n)
left join lateral (select t.attempt, t.ended_at from tasks t where t.seq = g.seq) as t on true
where t.attempt is null or t.ended_at is not null or t.attempt > g.attempt`,
);

export async function settled<A extends AttemptNumber>(database: Database, attempts: readonly A[]): Promise<A[]> {
  assertBatch(attempts, "settled");
  const columns = [int8Array(attempts.map(({ seq }) => seq)), int4Array(attempts.map(({ attempt }) => attempt))];
  const found = new Set((await database.sql.query<{ n: number }>(settledStatement, columns)).map(({ n }) => n));
  return attempts.filter((_, index) => found.has(index + 1));
}

export async function known<Key extends TaskKey>(database: Database, keys: readonly Key[]): Promise<Key[]> {
  assertBatch(keys, "known");
  const found = new Set((await database.sql.query<{ n: number }>(knownStatement, keyArrays(keys))).map(({ n }) => n));
  return keys.filter((_, index) => found.has(index + 1));
}

export async function get(database: Database, key: TaskKey): Promise<Task | undefined> {
  const [row] = await database.sql.query<TaskColumns>(getStatement, [key.accountId, key.functionName, key.taskId]);
  return row && toTask(row, { events: true });
}

export async function requestStop(database: Database, key: TaskKey): Promise<Task | undefined> {
  await database.sql.query(requestStopStatement, [key.accountId, key.functionName, key.taskId, database.now()]);
  // Read afterwards: whether it was marked now, earlier, or not at all, the answer is the task as it is.
  return await get(database, key);
}

export async function countWaiting(database: Database, accountId: AccountId, limit: number): Promise<number> {
  const [row] = await database.sql.query<{ waiting: number }>(countWaitingStatement, [accountId, limit]);
  return row?.waiting ?? 0;
}
