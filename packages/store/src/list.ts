import { assert, type Task } from "@sluice/core";
import { assertBatch } from "./bounds.ts";
import type { TaskFilter, TaskSelection } from "./index.ts";
import { shownStatus, statusCodes, type TaskColumns, taskColumns, toTask } from "./rows.ts";
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

async function fitsRarely(database: Database, { accountId, functionName, taskIdPrefix, order }: TaskFilter) {
  const query = new Query();
  const prefixOnly: TaskFilter = {
    accountId,
    order,
    limit: 0,
    includePayload: false,
    ...(functionName !== undefined && { functionName }),
    ...(taskIdPrefix !== undefined && { taskIdPrefix }),
  };
  const text = `select count(*) as fitting from (${byPrefix(query, prefixOnly)} limit ${collectMax + 1}) as fitting`;
  const [row] = await database.sql.query<{ fitting: number }>(query.statement(text), query.parameters);
  return (row?.fitting ?? 0) <= collectMax;
}

/**
 * The statement for a filter. Written for each combination instead of once with `$n is null or …`, which no index can
 * serve.
 */
export function listQuery(
  filter: TaskFilter,
  options: { readonly collectByPrefix: boolean },
): { readonly statement: Statement; readonly parameters: readonly Parameter[] } {
  const query = new Query();
  const text = options.collectByPrefix ? collected(query, filter) : walked(query, filter);
  return { statement: query.statement(text), parameters: query.parameters };
}

/** Along an index that has the order of the list. */
function walked(query: Query, filter: TaskFilter): string {
  const { column, conditions } = walkOf(query, filter);
  return `
    select ${columnsOf(filter)} from tasks t
    where ${[...conditions, ...filtersOf(query, filter)].join(" and ")}
    ${orderOf(filter, "t.account_id", column, "t.enqueued_at", "t.seq")} limit ${query.parameter(filter.limit, "int8")}`;
}

interface Walk {
  /** The column of the index before the time. */
  readonly column: string;
  readonly conditions: readonly string[];
}

/**
 * The index, by what the filter says:
 * - a status, other than `Succeeded`: tasks_status (account, status, time, number);
 * - a function: tasks_function_time (account, function, time, number);
 * - otherwise: tasks_account_time (account, time, number).
 *
 * Several would fit, and with wrong statistics the planner takes one that walks past everything else. So the statement asks
 * for an order that only one of them has, and says `column >= x and column <= x`: with `column = x` the column would be
 * constant and drop out of the order. Times are compared together with the column, to stay ends of a range of the index.
 */
export function walkOf(query: Query, filter: TaskFilter): Walk {
  const account = query.parameter(filter.accountId, "text");
  const { status, functionName } = filter;
  if (status !== undefined && status !== "Succeeded") {
    const column = shownStatus("t");
    const isIndexed = `t.status <> ${statusCodes.Succeeded}`;
    const conditions = [isIndexed, ...within(query, filter, column, `${statusCodes[status]}`)];
    return { column, conditions: [`t.account_id = ${account}`, ...conditions] };
  }
  if (functionName !== undefined) {
    const name = query.parameter(functionName, "text");
    const conditions = [`t.account_id = ${account}`, ...within(query, filter, "t.function_name", name)];
    return { column: "t.function_name", conditions };
  }
  return { column: "t.account_id", conditions: within(query, filter, "t.account_id", account) };
}

function within(query: Query, filter: TaskFilter, column: string, value: string): string[] {
  return [`${column} >= ${value}`, `${column} <= ${value}`, ...timesOf(query, filter, { column, value })];
}

/** The window of time, and what lies behind the last page; with `prefix` as comparisons of rows that begin with it. */
function timesOf(
  query: Query,
  { enqueuedFrom, enqueuedUntil, after, order }: TaskFilter,
  prefix?: { readonly column: string; readonly value: string },
): string[] {
  const compare = (operator: string, ...pairs: readonly (readonly [column: string, value: number])[]) => {
    const left = [...(prefix ? [prefix.column] : []), ...pairs.map(([column]) => column)];
    const right = [...(prefix ? [prefix.value] : []), ...pairs.map(([, value]) => query.parameter(value, "int8"))];
    return `(${left.join(", ")}) ${operator} (${right.join(", ")})`;
  };
  const conditions: string[] = [];
  if (enqueuedFrom !== undefined) conditions.push(compare(">=", ["t.enqueued_at", enqueuedFrom]));
  if (enqueuedUntil !== undefined) conditions.push(compare("<", ["t.enqueued_at", enqueuedUntil]));
  if (after !== undefined) {
    conditions.push(compare(order === "newest" ? "<" : ">", ["t.enqueued_at", after.enqueuedAt], ["t.seq", after.seq]));
  }
  return conditions;
}

/** What the walk has to leave out. What the chosen index says already is repeated: it costs nothing. */
export function filtersOf(query: Query, filter: TaskSelection): string[] {
  const conditions: string[] = [];
  if (filter.functionName !== undefined) {
    // Not an equality, for the reason given at `walkOf`.
    const name = query.parameter(filter.functionName, "text");
    conditions.push(`t.function_name >= ${name}`, `t.function_name <= ${name}`);
  }
  if (filter.status !== undefined) conditions.push(`${shownStatus("t")} = ${statusCodes[filter.status]}`);
  if (hasPrefix(filter)) conditions.push(prefixCondition(query, filter));
  return [...conditions, ...marksOf(query, filter)];
}

/** What no index knows. */
function marksOf(query: Query, { priority, tag }: TaskSelection): string[] {
  const conditions: string[] = [];
  if (priority !== undefined) conditions.push(`t.priority = ${query.parameter(priority, "int2")}`);
  if (tag !== undefined) conditions.push(`${query.parameter(tag, "text")} = any (t.tags)`);
  return conditions;
}

/** Everything that fits is found first and sorted, then the rows of one page are read. */
function collected(query: Query, filter: TaskFilter): string {
  const order = (table: string) => orderOf(filter, `${table}.enqueued_at`, `${table}.seq`);
  const limit = query.parameter(filter.limit, "int8");
  return `
    select ${columnsOf(filter)}
    from (select * from (${byPrefix(query, filter)}) as fitting ${order("fitting")} limit ${limit}) as page
    join tasks t on t.seq = page.seq
    ${order("page")}`;
}

function columnsOf({ includePayload }: TaskFilter): string {
  return taskColumns("t", { payload: includePayload, result: includePayload, events: false });
}

export function orderOf({ order }: Pick<TaskFilter, "order">, ...columns: readonly string[]): string {
  const direction = order === "newest" ? "desc" : "asc";
  return `order by ${columns.map((column) => `${column} ${direction}`).join(", ")}`;
}

/**
 * Numbers and times of the tasks whose id begins so: a range of the primary key in each function, in whose order they are
 * asked for, because other indexes begin with the same columns. Without a function in the filter the functions are found by
 * hopping over the key from one to the next: those of finished tasks may be deleted.
 */
function byPrefix(query: Query, filter: TaskFilter): string {
  const account = query.parameter(filter.accountId, "text");
  const conditions = [prefixCondition(query, filter), ...timesOf(query, filter), ...marksOf(query, filter)];
  if (filter.status !== undefined) conditions.push(`${shownStatus("t")} = ${statusCodes[filter.status]}`);
  const inFunction = (name: string) => `
    select t.seq, t.enqueued_at
    from tasks t
    where t.account_id = ${account} and t.function_name = ${name} and ${conditions.join(" and ")}
    order by t.account_id, t.function_name, t.task_id`;
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
    select found.seq, found.enqueued_at
    from used cross join lateral (${inFunction("used.function_name")}) as found`;
}

/** Texts sort by bytes, so the prefix is a range that ends before the prefix with the last of all characters. */
function prefixCondition(query: Query, filter: TaskSelection): string {
  assert(filter.taskIdPrefix !== undefined, "only with a prefix");
  const from = query.parameter(filter.taskIdPrefix, "text");
  const until = query.parameter(`${filter.taskIdPrefix}\u{10ffff}`, "text");
  return `t.task_id >= ${from} and t.task_id < ${until}`;
}

function hasPrefix(filter: TaskSelection): boolean {
  return filter.taskIdPrefix !== undefined && filter.taskIdPrefix !== "";
}

/** Collects parameters while a text is written. */
export class Query {
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
