// Pauses and operations as records. There are few of them: people make them.
import type { AccountId, EpochMs, Lane } from "@sluice/core";
import {
  type ControlRecords,
  type Heeded,
  type NewOperation,
  type OpenOperation,
  type OperationKind,
  type OperationProgress,
  type OperationRecord,
  type PauseRecord,
  type PauseTarget,
  pausesMax,
} from "./batch.ts";
import type { TaskSelection } from "./index.ts";
import { finish, reopen } from "./left-over.ts";
import { nowSql, statement } from "./sql.ts";
import type { Database } from "./sql-store.ts";

const kinds = ["stop", "delete"] as const satisfies readonly OperationKind[];
/** Many calls at the same moment may each find the last place. */
const readMax = pausesMax + 1_000;
/** How long an operation can be read after its end. */
const keptMs = 30 * 86_400_000;

const pauseColumns = "p.pause_id, p.pause_number, p.target, p.reason, p.created_by, p.created_at";

/** Index: the primary key decides whether it is new. The update changes nothing, but returns the row that is there. */
const pauseStatement = statement(
  "pause",
  `
insert into pauses as p (pause_id, account_id, target, reason, created_by, created_at)
select $1::text, $2::text, $3::jsonb, $4::text, $5::text, ${nowSql("$6")}
where (select count(*) from pauses) < $7::int8 or exists (select from pauses where pause_id = $1::text)
on conflict (pause_id) do update set pause_id = excluded.pause_id
returning ${pauseColumns}`,
);

const resumeStatement = statement(
  "resume",
  "delete from pauses where pause_id = $1::text returning 1::int4 as resumed",
);

/** Index: pauses_account. */
const pausesOfStatement = statement(
  "pauses_of",
  `select ${pauseColumns} from pauses p where p.account_id = $1::text order by p.pause_number limit ${readMax}`,
);

/** Index: pauses_pause_number_key. */
const allPausesStatement = statement(
  "all_pauses",
  `select ${pauseColumns} from pauses p order by p.pause_number limit ${readMax}`,
);

/**
 * Index: the primary key decides whether it is new; tasks_waiting, tasks_parked and tasks_ended find the first row of a queue. One
 * row per lane, so that owners write beside each other; none of queues in which nothing lies: flows leave such behind that had
 * one as their own.
 */
export const startStatement = statement(
  "start_operation",
  `
with started as (
  insert into operations (operation_id, account_id, kind, filter, created_by, created_at)
  values ($1::text, $2::text, $3::int2, $4::jsonb, $5::text, ${nowSql("$6")})
  on conflict (operation_id) do nothing
  returning operation_number
)
insert into operation_lanes (operation_number, queue, lane)
select s.operation_number, f.queue, l.lane
from started s
cross join floors f
cross join lateral (
  (
    select 1 from tasks t where t.queue = f.queue and t.ended_at is null and t.due_at is null
    order by t.queue, t.priority, t.announced_at limit 1
  )
  union all (
    select 1 from tasks t where t.queue = f.queue and t.due_at is not null
    order by t.queue, t.priority, t.due_at limit 1
  )
  union all (
    select 1 from tasks t where $3::int2 = ${kinds.indexOf("delete")} and t.queue = f.queue and t.ended_at is not null
    order by t.queue, t.ended_at limit 1
  )
  limit 1
) as u
cross join generate_series(0, 31) as l (lane)`,
);

/** Index: operations_account. */
const forgetStatement = statement(
  "forget_operations",
  `
with old as (
  delete from operations
  where account_id = $1::text and coalesce(finished_at, cancelled_at) < ${nowSql("$2")} - ${keptMs}
  returning operation_number
)
delete from operation_lanes l using old o where l.operation_number = o.operation_number`,
);

const operationColumns =
  "o.operation_id, o.operation_number, o.kind, o.filter, o.created_by, o.created_at, o.cancelled_at, o.finished_at";
const progressColumns = `
  ${operationColumns},
  p.matched, p.done, p.failed, p.lanes_done, p.lanes_total`;
/** Index: the primary key of operation_lanes. */
const progress = `
  cross join lateral (
    select
      coalesce(sum(l.matched), 0)::int8 as matched, coalesce(sum(l.done), 0)::int8 as done,
      coalesce(sum(l.failed), 0)::int8 as failed, count(l.finished_at) as lanes_done, count(*) as lanes_total
    from operation_lanes l
    where l.operation_number = o.operation_number
  ) as p`;

const operationStatement = statement(
  "operation",
  `select ${progressColumns} from operations o ${progress} where o.operation_id = $1::text`,
);

/** Index: operations_account. */
const operationsOfStatement = statement(
  "operations_of",
  `
select ${progressColumns}
from (
  select * from operations
  where account_id = $1::text and operation_number < $2::int8
  order by account_id desc, operation_number desc limit $3::int8
) as o ${progress}
order by o.operation_number desc`,
);

/** Index: operations_operation_number_key. */
const allOperationsStatement = statement(
  "all_operations",
  `
select ${progressColumns}
from (
  select * from operations where operation_number < $1::int8 order by operation_number desc limit $2::int8
) as o ${progress}
order by o.operation_number desc`,
);

/** Index: operations_open or operations_account. */
export const atWorkStatement = statement(
  "operations_at_work",
  `
select ${operationColumns}
from operations o
where o.account_id = $1::text and o.cancelled_at is null and o.finished_at is null
order by o.operation_number limit ${readMax}`,
);

const cancelStatement = statement(
  "cancel_operation",
  `
update operations set cancelled_at = ${nowSql("$2")}
where operation_id = $1::text and coalesce(cancelled_at, 0) = 0 and coalesce(finished_at, 0) = 0`,
);

/** Indexes: operations_open, the primary key of operation_lanes. One row per operation and queue with open lanes. */
export const openOperationsStatement = statement(
  "open_operations",
  `
select ${operationColumns}, l.queue, l.lanes
from (
  select * from operations where cancelled_at is null and finished_at is null order by operation_number
) as o
left join lateral (
  select p.queue, array_agg(p.lane::int8) as lanes
  from operation_lanes p
  where p.operation_number = o.operation_number and p.finished_at is null
  group by p.queue
) as l on true`,
);

interface PauseColumns {
  readonly pause_id: string;
  readonly pause_number: number;
  readonly target: PauseTarget;
  readonly reason: string;
  readonly created_by: string;
  readonly created_at: EpochMs;
}

interface OperationColumns {
  readonly operation_id: string;
  readonly operation_number: number;
  readonly kind: number;
  readonly filter: TaskSelection;
  readonly created_by: string;
  readonly created_at: EpochMs;
  readonly cancelled_at: EpochMs | null;
  readonly finished_at: EpochMs | null;
}

interface ProgressColumns extends OperationColumns {
  readonly matched: number;
  readonly done: number;
  readonly failed: number;
  readonly lanes_done: number;
  readonly lanes_total: number;
}

type OpenColumns = OperationColumns & { readonly queue: string | null; readonly lanes: readonly Lane[] | null };

export function controlRecords(database: Database): ControlRecords {
  const { sql } = database;

  async function operation(operationId: string): Promise<OperationProgress | undefined> {
    const [row] = await sql.query<ProgressColumns>(operationStatement, [operationId]);
    return row && toProgress(row);
  }

  return {
    async pause({ pauseId, target, reason, createdBy }, options = { pausesMax }) {
      const parameters = [
        pauseId,
        accountOf(target) ?? null,
        JSON.stringify(target),
        reason,
        createdBy,
        database.now(),
        options.pausesMax,
      ];
      const [row] = await sql.query<PauseColumns>(pauseStatement, parameters);
      return row && toPause(row);
    },
    async resume(pauseId) {
      return (await sql.query(resumeStatement, [pauseId])).length === 1;
    },
    async pauses(accountId) {
      const rows =
        accountId === undefined
          ? await sql.query<PauseColumns>(allPausesStatement)
          : await sql.query<PauseColumns>(pausesOfStatement, [accountId]);
      return rows.map(toPause);
    },
    async start(given) {
      const { accountId } = given.filter;
      await sql.query(forgetStatement, [accountId, database.now()]);
      await sql.query(startStatement, [...startParameters(given), database.now()]);
      const started = await operation(given.operationId);
      if (started === undefined) throw new Error("an operation is there after it was inserted");
      return started;
    },
    operation,
    async operations(accountId, { before, limit }) {
      const rows =
        accountId === undefined
          ? await sql.query<ProgressColumns>(allOperationsStatement, [before, limit])
          : await sql.query<ProgressColumns>(operationsOfStatement, [accountId, before, limit]);
      return rows.map(toProgress);
    },
    async atWork(accountId) {
      return (await sql.query<OperationColumns>(atWorkStatement, [accountId])).map(toOperation);
    },
    async cancel(operationId) {
      await sql.query(cancelStatement, [operationId, database.now()]);
      return await operation(operationId);
    },
    async heed(): Promise<Heeded> {
      const pauses = await sql.query<PauseColumns>(allPausesStatement);
      const operations = await sql.query<OpenColumns>(openOperationsStatement);
      return { pauses: pauses.map(toPause), operations: toOpenOperations(operations) };
    },
    reopen: (record, options) => reopen(database, record, options),
    finish: (record) => finish(database, record),
  };
}

function accountOf(target: PauseTarget): AccountId | undefined {
  switch (target.kind) {
    case "function":
    case "account":
      return target.accountId;
    case "tasks":
      return target.filter.accountId;
    case "queue":
      return undefined;
  }
}

function startParameters({ operationId, kind, filter, createdBy }: NewOperation) {
  return [operationId, filter.accountId, kinds.indexOf(kind), JSON.stringify(filter), createdBy];
}

function toPause(row: PauseColumns): PauseRecord {
  return {
    pauseId: row.pause_id,
    number: row.pause_number,
    target: row.target,
    reason: row.reason,
    createdBy: row.created_by as AccountId,
    createdAt: row.created_at,
  };
}

function toOperation(row: OperationColumns): OperationRecord {
  return {
    operationId: row.operation_id,
    number: row.operation_number,
    kind: kinds[row.kind] ?? "stop",
    filter: row.filter,
    createdBy: row.created_by as AccountId,
    createdAt: row.created_at,
    cancelledAt: row.cancelled_at ?? undefined,
    finishedAt: row.finished_at ?? undefined,
  };
}

function toProgress(row: ProgressColumns): OperationProgress {
  return {
    ...toOperation(row),
    matched: row.matched,
    done: row.done,
    failed: row.failed,
    lanesDone: row.lanes_done,
    lanesTotal: row.lanes_total,
  };
}

function toOpenOperations(rows: readonly OpenColumns[]): OpenOperation[] {
  const found = new Map<number, { operation: OperationRecord; openLanes: { queue: string; lanes: Lane[] }[] }>();
  for (const row of rows) {
    const open = found.get(row.operation_number) ?? { operation: toOperation(row), openLanes: [] };
    found.set(row.operation_number, open);
    if (row.queue !== null) {
      open.openLanes.push({ queue: row.queue, lanes: [...(row.lanes ?? [])].sort((a, b) => a - b) });
    }
  }
  const byQueue = (a: { queue: string }, b: { queue: string }) => (a.queue < b.queue ? -1 : 1);
  return [...found.values()]
    .sort((a, b) => a.operation.number - b.operation.number)
    .map(({ operation, openLanes }) => ({ operation, openLanes: openLanes.sort(byQueue) }));
}
