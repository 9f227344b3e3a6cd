// The function registry. Code packages are content-addressed: the first function that uses one stores it, the last one
// takes it along.
import type { AccountId, Flow, FunctionName } from "@sluice/core";
import { assertBatch } from "./bounds.ts";
import { isForeignKeyViolation } from "./failures.ts";
import {
  type CodePackage,
  defaultFlowSettings,
  type FunctionRecord,
  type FunctionRecords,
  type FunctionSettings,
  isOfInstances,
  type Reservation,
  reservationsMax,
} from "./index.ts";
import { limitsChangedAt } from "./limits.ts";
import { textArray } from "./parameters.ts";
import { nowSql, type Sql, statement } from "./sql.ts";
import type { Database } from "./sql-store.ts";

const columns =
  "f.account_id, f.function_name, f.settings, f.revision, f.code_sha256, f.code_bytes, f.created_at, f.updated_at, " +
  "f.limits_changed_at";

const createStatement = statement(
  "create_function",
  `
insert into functions as f (
  account_id, function_name, settings, revision, code_sha256, code_bytes, created_at, updated_at, limits_changed_at
)
select
  $1::text, $2::text, $3::jsonb, nextval('function_revisions'), $4::text, $5::int4, ${nowSql("$6")}, ${nowSql("$6")},
  case when exists (
    select from deleted_functions d where d.account_id = $1::text and d.function_name = $2::text
  ) then ${nowSql("$6")} else 0 end
on conflict (account_id, function_name) do nothing
returning ${columns}`,
);

/** The part of settings (jsonb) that instances depend on. */
function ofInstances(settings: string): string {
  const others = Object.entries(isOfInstances).flatMap(([name, isTheirs]) => (isTheirs ? [] : [`'${name}'`]));
  return `(${settings}) - array[${others.join(", ")}]`;
}

/** `before` locks the row: two updates follow each other, and the package of the first one is found by the second. */
const updateStatement = statement(
  "update_function",
  `
with before as (
  select account_id, function_name, code_sha256
  from functions where account_id = $1::text and function_name = $2::text for update
)
update functions f set
  settings = f.settings || $3::jsonb,
  revision = case
    when coalesce($4::text, f.code_sha256) = f.code_sha256
      and ${ofInstances("f.settings || $3::jsonb")} = ${ofInstances("f.settings")}
    then f.revision else nextval('function_revisions') end,
  code_sha256 = coalesce($4::text, f.code_sha256),
  code_bytes = coalesce($5::int4, f.code_bytes),
  updated_at = greatest(${nowSql("$6")}, f.updated_at + 1),
  limits_changed_at = ${limitsChangedAt("f", "$3", nowSql("$6"))}
from before b
where f.account_id = b.account_id and f.function_name = b.function_name
returning ${columns}, b.code_sha256 as code_before`,
);

/** Its name is remembered for longer than an attempt may run. */
const deletedKeptMs = 3 * 24 * 3_600_000;
const deleteStatement = statement(
  "delete_function",
  `
with gone as (
  delete from functions where account_id = $1::text and function_name = $2::text returning account_id, function_name, code_sha256
),
remembered as (
  insert into deleted_functions as d (account_id, function_name, deleted_at)
  select account_id, function_name, ${nowSql("$3")} from gone
  on conflict (account_id, function_name) do update set deleted_at = excluded.deleted_at
),
forgotten as (
  delete from deleted_functions
  where deleted_at < ${nowSql("$3")} - ${deletedKeptMs} and (account_id, function_name) <> ($1::text, $2::text)
)
select code_sha256 from gone`,
);

/** Index: functions_reserved. */
export const reservedStatement = statement(
  "reserved_functions",
  `
select r.*
from unnest($1::text[]) as k (account_id)
cross join lateral (
  select
    f.account_id, f.function_name,
    least((f.settings ->> 'concurrencyReserved')::float8, nullif((f.settings ->> 'concurrencyMax')::float8, 0))::int8 as slots
  from functions f
  where f.account_id = k.account_id and (f.settings ->> 'concurrencyReserved')::float8 > 0
  order by f.function_name
  limit ${reservationsMax}
) r
order by r.account_id, r.function_name`,
);

const readStatement = statement(
  "read_functions",
  `
select ${columns}
from unnest($1::text[], $2::text[]) as k (account_id, function_name)
join functions f on f.account_id = k.account_id and f.function_name = k.function_name`,
);

/** Index: the primary key; names that begin so are a range of it, as in `list.ts`. */
const listStatement = statement(
  "list_functions",
  `
select ${columns}
from functions f
where f.account_id = $1::text and f.function_name >= $2::text and f.function_name < $3::text
  and f.function_name > $4::text
order by f.account_id, f.function_name
limit $5::int8`,
);

/** Locks the package even if it is there already: whoever wants to delete it waits, and then finds it in use. */
const putCodeStatement = statement(
  "put_code",
  `
insert into code_packages as c (sha256, zip) values ($1::text, $2::bytea)
on conflict (sha256) do update set sha256 = c.sha256`,
);

const lockCodeStatement = statement("lock_code", "select sha256 from code_packages where sha256 = $1::text for update");

/** After the lock, in a statement with a later snapshot: it sees every function that still uses the package. */
const deleteCodeStatement = statement(
  "delete_code",
  `
delete from code_packages c
where c.sha256 = $1::text and not exists (select from functions f where f.code_sha256 = c.sha256)`,
);

const codeStatement = statement("code", "select zip from code_packages where sha256 = $1::text");

interface FunctionColumns {
  readonly account_id: string;
  readonly function_name: string;
  readonly settings: Record<string, unknown>;
  readonly revision: number;
  readonly code_sha256: string;
  readonly code_bytes: number;
  readonly created_at: number;
  readonly updated_at: number;
  readonly limits_changed_at: number;
}

type ReservedColumns = Pick<FunctionColumns, "account_id" | "function_name"> & { readonly slots: number };

export function functionRecords(database: Database): FunctionRecords {
  const { sql } = database;
  return {
    create: (flow, settings, code) => retried(() => create(database, flow, settings, code)),
    update: (flow, settings, code) => retried(() => update(database, flow, settings, code)),
    async read(flows) {
      assertBatch(flows, "functions");
      const names = [flows.map((flow) => flow.accountId), flows.map((flow) => flow.functionName)];
      return (await sql.query<FunctionColumns>(readStatement, names.map(textArray))).map(toRecord);
    },
    async list(accountId, { prefix, after, limit }) {
      assertBatch(limit, "functions");
      const parameters = [accountId, prefix, `${prefix}\u{10ffff}`, after, limit];
      return (await sql.query<FunctionColumns>(listStatement, parameters)).map(toRecord);
    },
    delete: (flow) => retried(() => remove(database, flow)),
    async reserved(accountIds) {
      assertBatch(accountIds, "accounts");
      const rows = await sql.query<ReservedColumns>(reservedStatement, [textArray([...new Set(accountIds)])]);
      return rows.map(toReservation);
    },
    async code(sha256) {
      const [row] = await sql.query<{ zip: Uint8Array }>(codeStatement, [sha256]);
      return row?.zip;
    },
  };
}

async function create(
  database: Database,
  flow: Flow,
  settings: FunctionSettings,
  code: CodePackage,
): Promise<FunctionRecord | undefined> {
  return await database.sql.transaction(async (sql) => {
    await sql.query(putCodeStatement, [code.sha256, code.zip]);
    const [created] = await sql.query<FunctionColumns>(createStatement, [
      flow.accountId,
      flow.functionName,
      settingsJson(settings),
      code.sha256,
      code.zip.byteLength,
      database.now(),
    ]);
    if (created === undefined) await deleteUnused(sql, code.sha256);
    return created && toRecord(created);
  });
}

async function update(
  database: Database,
  flow: Flow,
  settings: Partial<FunctionSettings>,
  code: CodePackage | undefined,
): Promise<FunctionRecord | undefined> {
  return await database.sql.transaction(async (sql) => {
    if (code !== undefined) await sql.query(putCodeStatement, [code.sha256, code.zip]);
    const [updated] = await sql.query<FunctionColumns & { code_before: string }>(updateStatement, [
      flow.accountId,
      flow.functionName,
      settingsJson(settings),
      code?.sha256 ?? null,
      code?.zip.byteLength ?? null,
      database.now(),
    ]);
    const unused = updated === undefined ? code?.sha256 : updated.code_before;
    if (code !== undefined && unused !== undefined) await deleteUnused(sql, unused);
    return updated && toRecord(updated);
  });
}

async function remove(database: Database, flow: Flow): Promise<boolean> {
  return await database.sql.transaction(async (sql) => {
    const parameters = [flow.accountId, flow.functionName, database.now()];
    const [deleted] = await sql.query<{ code_sha256: string }>(deleteStatement, parameters);
    if (deleted !== undefined) await deleteUnused(sql, deleted.code_sha256);
    return deleted !== undefined;
  });
}

async function deleteUnused(sql: Sql, sha256: string): Promise<void> {
  await sql.query(lockCodeStatement, [sha256]);
  await sql.query(deleteCodeStatement, [sha256]);
}

/** A package that another service deleted, or began to use, in the moment between two statements: once more. */
async function retried<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (isForeignKeyViolation(error)) return await work();
    throw error;
  }
}

/**
 * `undefined` is a value here ("no initializer") and must overwrite what was there. Halves of surrogate pairs become what
 * they become in every other text on its way to the database.
 */
function settingsJson(settings: Partial<FunctionSettings>): string {
  return JSON.stringify(settings, (_, value: unknown) => {
    if (typeof value === "string") return value.replace(/\p{Surrogate}/gu, "\u{fffd}");
    return value === undefined ? null : value;
  });
}

function toReservation({ account_id, function_name, slots }: ReservedColumns): Reservation {
  return { accountId: account_id as AccountId, functionName: function_name as FunctionName, slots };
}

function toRecord(row: FunctionColumns): FunctionRecord {
  const settings = Object.entries(row.settings).map(([name, value]) => [name, value ?? undefined]);
  return {
    accountId: row.account_id as AccountId,
    functionName: row.function_name as FunctionName,
    // Functions of earlier releases lack what came later.
    settings: { ...defaultFlowSettings, ...(Object.fromEntries(settings) as FunctionSettings) },
    revision: row.revision,
    codeSha256: row.code_sha256,
    codeBytes: row.code_bytes,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    limitsChangedAt: row.limits_changed_at,
  };
}
