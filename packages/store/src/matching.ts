// Finding the tasks of an operation: along the indexes of lists, which know the account and not the lane. An index that knew both
// would cost every insert and every settlement a few percent, for what people do now and then.
import type { FunctionName, Lane, OwnedPartition, Priority, Seq, TaskStatus } from "@sluice/core";
import type { BatchRecords, MatchingPage, MatchingTask, OperationRecord } from "./batch.ts";
import { assertBatch } from "./bounds.ts";
import { fenceParameters } from "./fence.ts";
import type { TaskFilter } from "./index.ts";
import { filtersOf, orderOf, Query, walkOf } from "./list.ts";
import type { Parameter, Statement } from "./sql.ts";
import type { Database } from "./sql-store.ts";

interface GroupColumns {
  readonly visited: number;
  readonly last_at: number | null;
  readonly last_seq: Seq | null;
  /** These are null where nothing matches. */
  readonly function_name: string | null;
  readonly seqs: readonly Seq[] | null;
  readonly lanes: readonly Lane[] | null;
  readonly priorities: readonly Priority[] | null;
  readonly times: readonly number[] | null;
  readonly marks: readonly number[] | null;
}

export async function matching(
  database: Database,
  owner: OwnedPartition,
  operation: OperationRecord,
  options: Parameters<BatchRecords["matching"]>[2],
): Promise<MatchingPage> {
  assertBatch(options.limit, "matching");
  const { statement, parameters } = matchingQuery(owner, operation, options);
  const groups = await database.sql.query<GroupColumns>(statement, parameters);
  const { visited = 0, last_at: enqueuedAt = null, last_seq: seq = null } = groups[0] ?? {};
  const isLast = visited < options.limit || enqueuedAt === null || seq === null;
  const tasks = groups.flatMap(tasksOf).sort((a, b) => a.enqueuedAt - b.enqueuedAt || a.seq - b.seq);
  return { tasks, last: isLast ? undefined : { enqueuedAt, seq } };
}

function tasksOf({ function_name, seqs, lanes, priorities, times, marks }: GroupColumns): MatchingTask[] {
  return (seqs ?? []).map((seq, index) => ({
    seq,
    functionName: function_name as FunctionName,
    lane: lanes?.[index] ?? 0,
    priority: priorities?.[index] ?? 2,
    enqueuedAt: times?.[index] ?? 0,
    isMarked: marks?.[index] === 1,
  }));
}

/**
 * Indexes: those of `walkOf`. So many rows are visited in one statement, whether they match or not, which bounds its time.
 * They arrive as few groups with arrays of numbers: 2 µs a row instead of 13.
 */
export function matchingQuery(
  owner: OwnedPartition,
  operation: OperationRecord,
  { status, after, limit }: Parameters<BatchRecords["matching"]>[2],
): { readonly statement: Statement; readonly parameters: readonly Parameter[] } {
  const query = new Query();
  const filter = walkedFilter(operation, status, limit);
  const walk = walkOf(query, { ...filter, ...(after && { after }) });
  const fits = filtersOf(query, { ...operation.filter, ...filter });
  const [queue, from, until] = fenceParameters(owner);
  const lanes = [
    `t.queue = ${query.parameter(queue, "text")}`,
    `t.lane >= ${query.parameter(from, "int2")} and t.lane < ${query.parameter(until, "int2")}`,
  ];
  const text = `
    with walked as materialized (
      select t.seq, t.enqueued_at, t.lane, t.priority, t.function_name, t.operation,
        (${[...lanes, ...fits].join(" and ")}) as fits
      from tasks t
      where ${walk.conditions.join(" and ")}
      ${orderOf(filter, "t.account_id", walk.column, "t.enqueued_at", "t.seq")} limit ${query.parameter(limit, "int8")}
    ),
    found as (
      select w.function_name, array_agg(w.seq) as seqs, array_agg(w.lane::int8) as lanes,
        array_agg(w.priority::int8) as priorities, array_agg(w.enqueued_at) as times,
        array_agg((case when w.operation = ${query.parameter(operation.number, "int8")} then 1 else 0 end)::int8) as marks
      from walked w where w.fits group by w.function_name
    )
    select p.visited, p.last_at, p.last_seq, f.*
    from (
      select count(*) as visited, max(w.enqueued_at) as last_at, (array_agg(w.seq))[count(*)::int4] as last_seq
      from walked w
    ) as p left join found f on true`;
  return { statement: query.statement(text), parameters: query.parameters };
}

/** What the walk along an index is bound by. */
export function walkedFilter(
  { filter, createdAt }: OperationRecord,
  status: TaskStatus | undefined,
  limit: number,
): TaskFilter & { readonly enqueuedUntil: number } {
  const { accountId, functionName, enqueuedFrom, enqueuedUntil = createdAt } = filter;
  return {
    accountId,
    order: "oldest",
    limit,
    includePayload: false,
    enqueuedUntil: Math.min(enqueuedUntil, createdAt),
    ...(functionName !== undefined && { functionName }),
    ...(status !== undefined && { status }),
    ...(enqueuedFrom !== undefined && { enqueuedFrom }),
  };
}
