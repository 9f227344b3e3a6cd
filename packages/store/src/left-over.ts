// What is left of an operation whose lanes are done: rows that moved to a lane that was done already, or changed their status
// behind the pass of an owner. Looked for page by page, in all lanes and statuses at once.
//
// No row slips through between two pages: a page is one statement, and so sees one moment, and covers everything between two
// places of (enqueued_at, seq). These never change, wherever a row lies and whatever its status is. So each row is looked at
// once, at the moment of the one page that covers its place.
import type { TaskStatus } from "@sluice/core";
import type { ControlRecords, LeftPage, OperationRecord } from "./batch.ts";
import { assertBatch } from "./bounds.ts";
import { filtersOf, orderOf, Query, walkOf } from "./list.ts";
import { walkedFilter } from "./matching.ts";
import { nowSql, type Parameter, type Statement, statement } from "./sql.ts";
import type { Database } from "./sql-store.ts";

type PageOptions = Parameters<ControlRecords["reopen"]>[1];

const openStatuses: readonly TaskStatus[] = ["Enqueued", "Running", "Retrying", "Stopping"];
/** Marked rows that are looked at in one statement. */
const markedMax = 1_000;

/** Guards in `coalesce` for the reason given at `writeStatement`. */
const isOpen = (table: string) => `coalesce(${table}.cancelled_at, 0) = 0 and coalesce(${table}.finished_at, 0) = 0`;

/** Opens lanes again, or adds them: `source` has queues and lanes. */
function opened(number: string, source: string): string {
  return `
  insert into operation_lanes (operation_number, queue, lane)
  select distinct ${number}, s.queue, s.lane from ${source} s
  where exists (select from operations o where o.operation_number = ${number} and ${isOpen("o")})
  order by s.queue, s.lane
  on conflict (operation_number, queue, lane) do update set finished_at = null`;
}

/** Indexes: operations_operation_number_key, tasks_operation, the primary key of operation_lanes. */
export const finishStatement = statement(
  "finish_operation",
  `
with marked as materialized (
  select t.queue, t.lane from tasks t where t.operation = $1::int8 order by t.operation limit ${markedMax}
),
opened as (${opened("$1::int8", "marked")}
)
update operations o set finished_at = ${nowSql("$2")}
where o.operation_number = $1::int8 and ${isOpen("o")} and not exists (select from marked)
  and not exists (select from operation_lanes l where l.operation_number = $1::int8 and l.finished_at is null)
returning 1::int4 as finished`,
);

export async function finish(database: Database, { number }: OperationRecord): Promise<boolean> {
  return (await database.sql.query(finishStatement, [number, database.now()])).length === 1;
}

interface PageColumns {
  readonly visited: number;
  readonly last_at: number | null;
  readonly last_seq: number | null;
  readonly left_lanes: number;
}

export async function reopen(database: Database, operation: OperationRecord, options: PageOptions): Promise<LeftPage> {
  assertBatch(options.limit, "reopen");
  const { statement, parameters } = reopenQuery(operation, options);
  const [page] = await database.sql.query<PageColumns>(statement, parameters);
  const { visited = 0, last_at: enqueuedAt = null, last_seq: seq = null, left_lanes: left = 0 } = page ?? {};
  const isLast = visited < options.limit || enqueuedAt === null || seq === null;
  return { left, last: isLast ? undefined : { enqueuedAt, seq } };
}

/**
 * Indexes: those of `walkOf`, for what is to be stopped one range per status; operations_operation_number_key, the primary key
 * of operation_lanes. So many rows are visited in one statement, whether they are left or not, which bounds its time.
 */
export function reopenQuery(
  operation: OperationRecord,
  { after, limit }: PageOptions,
): { readonly statement: Statement; readonly parameters: readonly Parameter[] } {
  const query = new Query();
  const number = query.parameter(operation.number, "int8");
  const most = query.parameter(limit, "int8");
  const ranges = statusesOf(operation).map((status) => {
    const filter = walkedFilter(operation, status, limit);
    const { column, conditions } = walkOf(query, { ...filter, ...(after && { after }) });
    const isWanted = operation.kind === "stop" ? "coalesce(t.ended_at, 0) = 0" : "true";
    const fits = [isWanted, ...filtersOf(query, { ...operation.filter, ...filter })];
    return `(
        select t.seq, t.enqueued_at, t.queue, t.lane, (${fits.join(" and ")}) as fits
        from tasks t
        where ${conditions.join(" and ")}
        ${orderOf(filter, "t.account_id", column, "t.enqueued_at", "t.seq")} limit ${most}
      )`;
  });
  const text = `
    with walked as materialized (
      select r.* from (${ranges.join(" union all ")}) as r order by r.enqueued_at, r.seq limit ${most}
    ),
    left_over as materialized (
      select distinct w.queue, w.lane from walked w where w.fits
    ),
    opened as (${opened(number, "left_over")}
    )
    select count(*) as visited, max(w.enqueued_at) as last_at,
      (array_agg(w.seq order by w.enqueued_at desc, w.seq desc))[1] as last_seq,
      (select count(*) from left_over) as left_lanes
    from walked w`;
  return { statement: query.statement(text), parameters: query.parameters };
}

function statusesOf({ kind, filter: { status } }: OperationRecord): readonly (TaskStatus | undefined)[] {
  return kind === "stop" && status === undefined ? openStatuses : [status];
}
