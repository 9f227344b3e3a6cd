// Two releases on one database, the older of which knows fewer migrations.
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { aNewTask } from "./conformance/subject.ts";
import { migrate } from "./migrate.ts";
import { openPgliteSql } from "./pglite.ts";
import { type SqlConnection, statement } from "./sql.ts";
import { createSqlStore } from "./sql-store.ts";

const exclusiveLocks = statement(
  "",
  `select relation::regclass::text as "table" from pg_locks
   where mode = 'AccessExclusiveLock' and pid = pg_backend_pid() and relation is not null`,
);
const versions = statement("", "select version, oldest from schema_migrations order by version");
let sql: SqlConnection;
let newer: string;
let known: number;
beforeAll(async () => {
  sql = await openPgliteSql({ dataDir: "memory", inWorker: false });
  known = (await sql.query(versions)).length;
  newer = await mkdtemp(join(tmpdir(), "sluice-migrations-"));
  await cp(fileURLToPath(new URL("../migrations/", import.meta.url)), newer, { recursive: true });
});
afterAll(async () => {
  await sql[Symbol.asyncDispose]();
  await rm(newer, { recursive: true, force: true });
});

/** The next migration of the newer release. */
async function addMigration(ahead: number, script: string): Promise<void> {
  await writeFile(join(newer, `${String(known + ahead).padStart(4, "0")}-next.sql`), script);
  await migrate(sql, newer);
}

test("a release starts and works on a database to which a newer one has added something", async () => {
  await addMigration(1, "alter table tasks add column colour text;");

  await migrate(sql);
  const task = aNewTask();
  await createSqlStore({ sql }).tasks.insert([task]);

  expect(await createSqlStore({ sql }).tasks.get(task)).toMatchObject({ status: "Enqueued" });
  expect((await sql.query(versions)).at(-1)).toEqual({ version: known + 1, oldest: 0 });
});

test("a release is refused once a newer one has taken away what it may need, and the others are not", async () => {
  await addMigration(
    2,
    `-- Nobody reads it since schema ${known + 1}.\n-- oldest: ${known + 1}\nalter table tasks drop column colour;`,
  );

  await expect(migrate(sql)).rejects.toMatchObject({ code: "precondition", reason: "STORE_TOO_NEW" });
  await rm(join(newer, `${String(known + 2).padStart(4, "0")}-next.sql`));
  await migrate(sql, newer);
});

test("a database that was made before migrations said what they need is brought further", async () => {
  await sql.exec("alter table schema_migrations drop column oldest");

  await migrate(sql);

  expect((await sql.query(versions)).at(-1)).toEqual({ version: known + 2, oldest: 0 });
});

test("a start on a database that is up to date locks nobody out of a table", async () => {
  let locked: unknown;
  await migrate({
    query: (...query) => sql.query(...query),
    exec: (script) => sql.exec(script),
    transaction: (work) =>
      sql.transaction(async (transaction) => {
        const result = await work(transaction);
        locked = await transaction.query(exclusiveLocks);
        return result;
      }),
  });

  expect(locked).toEqual([]);
});
