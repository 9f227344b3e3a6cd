import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { AppError, assert } from "@sluice/core";
import { type Sql, statement } from "./sql.ts";

/**
 * One file of `migrations/`: `0001-tasks.sql`. Migrations only add, so that releases that do not know them can run beside. One
 * that takes away what no release of schema 7 and later uses says so in a line of its own: `-- oldest: 7`.
 */
interface Migration {
  readonly version: number;
  readonly name: string;
  readonly script: string;
  /** Of the schemas whose releases can use the database afterwards; 0: as before. */
  readonly oldest: number;
}

const ownFolder = fileURLToPath(new URL("../migrations/", import.meta.url));

/** Any number that nobody else uses for an advisory lock in this database. */
const lockKey = 7_549_341;

const lock = statement("", `select pg_advisory_xact_lock(${lockKey})::text as locked`);
const create = `
create table if not exists schema_migrations (
  version int4 primary key, name text not null, applied_at timestamptz not null, oldest int4 not null default 0
)`;
const lacksOldest = statement(
  "",
  `select not exists (
    select from pg_attribute where attrelid = 'schema_migrations'::regclass and attname = 'oldest' and not attisdropped
  ) as lacks`,
);
const addOldest = "alter table schema_migrations add column oldest int4 not null default 0";
const state = statement(
  "",
  "select coalesce(max(version), 0)::int4 as version, coalesce(max(oldest), 0)::int4 as oldest from schema_migrations",
);
const note = statement(
  "",
  "insert into schema_migrations (version, name, applied_at, oldest) values ($1::int4, $2::text, statement_timestamp(), $3::int4)",
);

/**
 * Brings the database to the newest schema, in one transaction and under a lock: several services may start at once. A
 * database that a newer release has brought further is taken as it is. Rejects with `STORE_TOO_NEW` if that release took away
 * what this one needs.
 */
export async function migrate(sql: Sql, folder = ownFolder): Promise<void> {
  const migrations = await readMigrations(folder);
  const known = migrations.length;
  await sql.transaction(async (transaction) => {
    await transaction.query(lock);
    await transaction.exec(create);
    // Asked first: `add column if not exists` locks everybody out even if it adds nothing.
    const [column] = await transaction.query<{ lacks: boolean }>(lacksOldest);
    if (column?.lacks) await transaction.exec(addOldest);
    const [row] = await transaction.query<{ version: number; oldest: number }>(state);
    const { version, oldest } = row ?? { version: 0, oldest: 0 };
    if (known < oldest) {
      throw new AppError(
        "precondition",
        "STORE_TOO_NEW",
        `the database has schema ${version}, which takes a release that knows schema ${oldest}; this one knows ${known}`,
      );
    }
    // What keeps a statement of every day short must not end one that builds an index.
    await transaction.exec("set local statement_timeout = 0");
    for (const migration of migrations.slice(version)) {
      await transaction.exec(migration.script);
      await transaction.query(note, [migration.version, migration.name, migration.oldest]);
    }
  });
}

async function readMigrations(folder: string): Promise<Migration[]> {
  const files = (await readdir(folder)).filter((file) => file.endsWith(".sql")).sort();
  const migrations = await Promise.all(
    files.map(async (file) => {
      const script = await readFile(join(folder, file), "utf8");
      const oldest = Number(/^-- oldest: (\d+)$/m.exec(script)?.[1] ?? 0);
      return { version: Number(file.slice(0, 4)), name: file.slice(5, -4), script, oldest };
    }),
  );
  migrations.forEach((migration, index) => {
    assert(migration.version === index + 1, `migration ${index + 1} is missing or there twice`);
    assert(migration.oldest <= migration.version, `migration ${index + 1} takes a release that cannot be there yet`);
  });
  return migrations;
}
