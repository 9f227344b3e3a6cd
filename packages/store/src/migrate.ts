import { readdir, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { AppError, assert } from "@sluice/core";
import { type Sql, statement } from "./sql.ts";

/** One file of `migrations/`: `0001-tasks.sql`. Migrations only add, so that the release before can run beside. */
interface Migration {
  readonly version: number;
  readonly name: string;
  readonly script: string;
}

const folder = fileURLToPath(new URL("../migrations/", import.meta.url));

/** Any number that nobody else uses for an advisory lock in this database. */
const lockKey = 7_549_341;

const lock = statement("", `select pg_advisory_xact_lock(${lockKey})::text as locked`);
const newest = statement("", "select coalesce(max(version), 0)::int4 as version from schema_migrations");
const note = statement(
  "",
  "insert into schema_migrations (version, name, applied_at) values ($1::int4, $2::text, statement_timestamp())",
);

/**
 * Brings the database to the newest schema, in one transaction and under a lock: several services may start at once.
 * Rejects with `STORE_TOO_NEW` if a newer release has been here.
 */
export async function migrate(sql: Sql): Promise<void> {
  const migrations = await readMigrations();
  await sql.transaction(async (transaction) => {
    await transaction.query(lock);
    await transaction.exec(
      "create table if not exists schema_migrations (version int4 primary key, name text not null, applied_at timestamptz not null)",
    );
    const [row] = await transaction.query<{ version: number }>(newest);
    const version = row?.version ?? 0;
    if (version > migrations.length) {
      throw new AppError(
        "precondition",
        "STORE_TOO_NEW",
        `the database has schema ${version}, this release knows ${migrations.length}; start a newer release`,
      );
    }
    // What keeps a statement of every day short must not end one that builds an index.
    await transaction.exec("set local statement_timeout = 0");
    for (const migration of migrations.slice(version)) {
      await transaction.exec(migration.script);
      await transaction.query(note, [migration.version, migration.name]);
    }
  });
}

async function readMigrations(): Promise<Migration[]> {
  const files = (await readdir(folder)).filter((file) => file.endsWith(".sql")).sort();
  const migrations = await Promise.all(
    files.map(async (file) => ({
      version: Number(file.slice(0, 4)),
      name: file.slice(5, -4),
      script: await readFile(`${folder}${file}`, "utf8"),
    })),
  );
  migrations.forEach((migration, index) => {
    assert(migration.version === index + 1, `migration ${index + 1} is missing or there twice`);
  });
  return migrations;
}
