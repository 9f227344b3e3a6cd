import { assert, isFinal, type Task, type TaskStatus } from "@sluice/core";
import { assertBatch } from "./bounds.ts";
import type { TaskFilter } from "./index.ts";
import { statusCodes, type TaskColumns, taskColumns, toTask } from "./rows.ts";
import { type Parameter, type Statement, statement } from "./sql.ts";
import type { Database } from "./sql-store.ts";

/**
 * A prefix that fits at most so many tasks is answered by collecting and sorting them; one that fits more, by walking the
 * list in its order and leaving out what does not fit, which then finds enough soon. Counting so far takes some 5 ms.
 */
const collectMax = 5_000;

export async function list(database: Database, filter: TaskFilter): Promise<Task[]> {
  assertBatch(filter.limit, "list");
  const isRare = hasPrefix(filter) && (await fitsRarely(database, filter));
  const { statement, parameters } = listQuery(filter, { collectByPrefix: isRare });
  const rows = await database.sql.query<TaskColumns>(statement, parameters);
  return rows.map((row) => toTask(row, { events: false }));
}

async function fitsRarely(database: Database, filter: TaskFilter): Promise<boolean> {
  const query = new Query();
  const text = `select count(*) as fitting from (${byPrefix(query, filter, "true")} limit ${collectMax + 1}) as fitting`;
  const [row] = await database.sql.query<{ fitting: number }>(query.statement(text), query.parameters);
  return (row?.fitting ?? 0) <= collectMax;
}

/**
 * The statement for a filter. Written for each combination instead of once with `$n is null or …`, which no index can
 * serve. Indexes, by what the filter says:
 * - nothing or `Succeeded`: tasks_account_time, with a function tasks_function_time;
 * - a status that is not final: tasks_open; one that went wrong: tasks_failed. The statement repeats the index's condition;
 * - a prefix that fits few tasks: the primary key.
 */
export function listQuery(
  filter: TaskFilter,
  options: { readonly collectByPrefix: boolean },
): { readonly statement: Statement; readonly parameters: readonly Parameter[] } {
  const query = new Query();
  const direction = filter.order === "newest" ? "desc" : "asc";
  const columns = taskColumns("t", { payload: filter.includePayload, result: filter.includePayload, events: false });
  // The account is in the order, too: with it the order is that of an index.
  const order = `order by t.account_id ${direction}, t.enqueued_at ${direction}, t.seq ${direction}`;
  const conditions = conditionsOf(query, filter);
  const source = options.collectByPrefix
    ? `(${byPrefix(query, filter, conditions)}) as fitting join tasks t on t.seq = fitting.seq`
    : `tasks t where ${conditions}${hasPrefix(filter) ? ` and ${prefixCondition(query, filter)}` : ""}`;
  const text = `select ${columns} from ${source} ${order} limit ${query.parameter(filter.limit, "int8")}`;
  return { statement: query.statement(text), parameters: query.parameters };
}

function conditionsOf(query: Query, filter: TaskFilter): string {
  const conditions = [`t.account_id = ${query.parameter(filter.accountId, "text")}`];
  if (filter.functionName !== undefined) {
    conditions.push(`t.function_name = ${query.parameter(filter.functionName, "text")}`);
  }
  if (filter.status !== undefined) conditions.push(statusCondition(filter.status));
  if (filter.enqueuedFrom !== undefined) {
    conditions.push(`t.enqueued_at >= ${query.parameter(filter.enqueuedFrom, "int8")}`);
  }
  if (filter.enqueuedUntil !== undefined) {
    conditions.push(`t.enqueued_at < ${query.parameter(filter.enqueuedUntil, "int8")}`);
  }
  if (filter.after !== undefined) {
    const { enqueuedAt, seq } = filter.after;
    const behind = filter.order === "newest" ? "<" : ">";
    const last = `(${query.parameter(enqueuedAt, "int8")}, ${query.parameter(seq, "int8")})`;
    conditions.push(`(t.enqueued_at, t.seq) ${behind} ${last}`);
  }
  return conditions.join(" and ");
}

function statusCondition(status: TaskStatus): string {
  if (status === "Stopping") return "t.ended_at is null and t.stop_requested";
  const code = statusCodes[status];
  if (status === "Succeeded") return `t.status = ${code}`;
  if (isFinal(status)) return `t.status > ${statusCodes.Succeeded} and t.status = ${code}`;
  return `t.ended_at is null and t.status = ${code} and not t.stop_requested`;
}

/**
 * Numbers of the tasks whose id begins so: a range of the primary key in each function. Without a function in the filter
 * the functions are found by hopping over the key from one to the next, because those of finished tasks may be deleted.
 */
function byPrefix(query: Query, filter: TaskFilter, conditions: string): string {
  const account = query.parameter(filter.accountId, "text");
  const inFunction = (name: string) =>
    `select t.seq from tasks t
    where t.account_id = ${account} and t.function_name = ${name} and ${prefixCondition(query, filter)} and ${conditions}`;
  if (filter.functionName !== undefined) return inFunction(query.parameter(filter.functionName, "text"));
  return `
    with recursive used (function_name) as (
      (select function_name from tasks where account_id = ${account} order by account_id, function_name limit 1)
      union all
      select (
        select n.function_name from tasks n
        where n.account_id = ${account} and n.function_name > used.function_name
        order by n.account_id, n.function_name limit 1
      )
      from used where used.function_name is not null
    )
    select fitting.seq from used cross join lateral (${inFunction("used.function_name")}) as fitting`;
}

/** Texts sort by bytes, so the prefix is a range that ends before the prefix with the last of all characters. */
function prefixCondition(query: Query, filter: TaskFilter): string {
  assert(filter.taskIdPrefix !== undefined, "only with a prefix");
  const from = query.parameter(filter.taskIdPrefix, "text");
  const until = query.parameter(`${filter.taskIdPrefix}\u{10ffff}`, "text");
  return `t.task_id >= ${from} and t.task_id < ${until}`;
}

function hasPrefix(filter: TaskFilter): boolean {
  return filter.taskIdPrefix !== undefined && filter.taskIdPrefix !== "";
}

/** Collects parameters while a text is written. */
class Query {
  readonly parameters: Parameter[] = [];

  parameter(value: Parameter, type: string): string {
    this.parameters.push(value);
    return `$${this.parameters.length}::${type}`;
  }

  /** Not kept prepared: there are hundreds of combinations, and lists are asked for by people. */
  statement(text: string): Statement {
    return statement("", text);
  }
}
