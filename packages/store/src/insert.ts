import { AppError, assert, type Seq } from "@sluice/core";
import { assertBatch } from "./bounds.ts";
import type { InsertOutcome, NewTask } from "./index.ts";
import { byteaArray, int2Array, int8Array, textArray } from "./parameters.ts";
import { type TaskColumns, taskColumns, toTask } from "./rows.ts";
import { nowSql, statement } from "./sql.ts";
import type { Database } from "./sql-store.ts";
import { keyArrays, sameKey, taskByKey } from "./task-key.ts";

/**
 * Index: the primary key decides what is new.
 *
 * The caller sends the rows sorted by key and without repeats, and `order by n` keeps this order: two writers that meet on
 * the same ids wait for each other in one direction only. `on conflict do nothing` waits for a writer that has not
 * committed yet, so what is left out is there, or was.
 *
 * The stamp comes from the snapshot, without a lock: a take-over that commits in between only leaves the row with a lower
 * stamp, which makes its owner careful. A stamp that equals an epoch proves that no statement of an earlier owner, which
 * would have seen the higher floor too, has returned this row.
 */
export const insertStatement = statement(
  "insert_tasks",
  `
with given as (
  select *
  from unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::int2[], $6::int2[], $7::bytea[], $8::int8[], $9::int8[], $10::text[],
    $11::text[]
  ) with ordinality as given (
    account_id, function_name, task_id, queue, lane, priority, payload, delay_ms, expires_after_ms, submission_token, tags, n
  )
)
insert into tasks (
  account_id, function_name, task_id, queue, lane, priority, payload, submission_token, tags,
  stamp, enqueued_at, announced_at, due_at, park_reason, expires_at
)
select
  g.account_id, g.function_name, g.task_id, g.queue, g.lane, g.priority, g.payload, g.submission_token, g.tags::text[],
  coalesce(f.epochs[g.lane + 1], 0),
  ${nowSql("$12")},
  ${nowSql("$12")},
  case when g.delay_ms > 0 then ${nowSql("$12")} + g.delay_ms end,
  case when g.delay_ms > 0 then 'delay' end,
  case when g.expires_after_ms > 0 then ${nowSql("$12")} + greatest(g.delay_ms, 0) + g.expires_after_ms end
from given g left join floors f on f.queue = g.queue
order by g.n
on conflict (account_id, function_name, task_id) do nothing
returning seq, enqueued_at, account_id, function_name, task_id`,
);

/** Index: the primary key. A statement of its own: the insert's snapshot does not show a row that it waited for. */
export const existingStatement = statement(
  "existing_tasks",
  `
select ${taskColumns("t", { payload: false, result: false, events: false })}, t.submission_token
from unnest($1::text[], $2::text[], $3::text[]) as k (account_id, function_name, task_id)
cross join lateral (${taskByKey("k")}) as t
where ${sameKey("t", "k")}`,
);

interface Inserted extends KeyColumns {
  readonly seq: Seq;
  readonly enqueued_at: number;
}

interface Existing extends TaskColumns {
  readonly submission_token: string | null;
}

interface KeyColumns {
  readonly account_id: string;
  readonly function_name: string;
  readonly task_id: string;
}

/** A task of a call, with what its row is known by. */
interface Keyed {
  readonly key: string;
  readonly index: number;
  readonly task: NewTask;
}

/** A row that is there when we insert and gone when we read it was purged in between; after so many times something else is wrong. */
const roundsMax = 5;

export async function insert(database: Database, tasks: readonly NewTask[]): Promise<InsertOutcome[]> {
  assertBatch(tasks, "insert");
  const outcomes = new Array<InsertOutcome | undefined>(tasks.length).fill(undefined);
  for (let round = 0; round < roundsMax; round++) {
    const open = [...tasks.keys()].filter((index) => outcomes[index] === undefined);
    if (open.length > 0) await insertOnce(database, tasks, open, outcomes);
    const known = outcomes.filter((outcome) => outcome !== undefined);
    if (known.length === tasks.length) return known;
  }
  throw new AppError("unavailable", "STORE_UNAVAILABLE", "tasks appear and vanish while they are inserted; try again");
}

/** Fills in the outcomes of `open` (indexes into `tasks`), except for those whose row vanished in between. */
async function insertOnce(
  database: Database,
  tasks: readonly NewTask[],
  open: readonly number[],
  outcomes: (InsertOutcome | undefined)[],
): Promise<void> {
  const firstOf = new Map<string, Keyed>();
  const repeats: Keyed[] = [];
  for (const index of open) {
    const task = tasks[index];
    assert(task !== undefined, "an index of a task");
    const keyed = { key: keyOf(task), index, task };
    if (firstOf.has(keyed.key)) repeats.push(keyed);
    else firstOf.set(keyed.key, keyed);
  }
  const sorted = [...firstOf.values()].sort((a, b) => (a.key < b.key ? -1 : 1)).map(({ task }) => task);
  const inserted = await database.sql.query<Inserted>(insertStatement, parametersOf(sorted, database.now()));
  for (const row of inserted) {
    const first = firstOf.get(keyOfRow(row));
    assert(first !== undefined, "the store returns what it was given");
    outcomes[first.index] = { kind: "inserted", seq: row.seq, enqueuedAt: row.enqueued_at };
  }
  const left = [...firstOf.values()].filter(({ index }) => outcomes[index] === undefined).concat(repeats);
  if (left.length > 0) await compareWithExisting(database, left, outcomes);
}

async function compareWithExisting(
  database: Database,
  left: readonly Keyed[],
  outcomes: (InsertOutcome | undefined)[],
): Promise<void> {
  const distinct = new Map(left.map(({ key, task }) => [key, task]));
  const rows = await database.sql.query<Existing>(existingStatement, keyArrays([...distinct.values()]));
  const existing = new Map(rows.map((row) => [keyOfRow(row), row]));
  for (const { key, index, task } of left) {
    const row = existing.get(key);
    if (row === undefined) continue;
    const isRepeated = task.submissionToken !== "" && task.submissionToken === row.submission_token;
    outcomes[index] = isRepeated
      ? { kind: "repeated" }
      : { kind: "duplicate", existing: toTask(row, { events: false }) };
  }
}

function parametersOf(tasks: readonly NewTask[], now: number | null) {
  return [
    ...keyArrays(tasks),
    textArray(tasks.map((task) => task.queue)),
    int2Array(tasks.map((task) => task.lane)),
    int2Array(tasks.map((task) => task.priority)),
    byteaArray(tasks.map((task) => task.payload)),
    int8Array(tasks.map((task) => task.delayMs)),
    int8Array(tasks.map((task) => task.expiresAfterMs)),
    textArray(tasks.map((task) => (task.submissionToken === "" ? undefined : task.submissionToken))),
    textArray(tasks.map(({ tags }) => (tags.length === 0 ? undefined : arrayText(tags)))),
    now,
  ];
}

/** An array of texts as one text: arrays of arrays would have to be equally long. */
function arrayText(texts: readonly string[]): string {
  return `{${texts.map((text) => `"${text.replace(/["\\]/g, "\\$&")}"`).join(",")}}`;
}

/** A line break is in no id. */
function keyOf(task: NewTask): string {
  return `${task.accountId}\n${task.functionName}\n${task.taskId}`;
}

function keyOfRow(row: KeyColumns): string {
  return `${row.account_id}\n${row.function_name}\n${row.task_id}`;
}
