import { assert } from "@sluice/core";
import { eventually } from "@sluice/core/testing";
import { type PostgresBackend, startPostgres } from "@sluice/testbed";
import { afterAll, beforeAll, expect, test } from "vitest";
import { aNewTask } from "../conformance/subject.ts";
import { aGate, open, rows } from "./testing.ts";

let postgres: PostgresBackend;
beforeAll(async () => {
  postgres = await startPostgres({ fsync: false });
});
afterAll(() => postgres[Symbol.asyncDispose]());

test("four that open an empty database at once find it migrated, once", async () => {
  const url = await postgres.createDatabase("four");

  const opened = await Promise.all(Array.from({ length: 4 }, () => open(url, { connectionsMax: 2 })));

  const [first] = opened;
  assert(first !== undefined, "four");
  const versions = await rows<{ version: number }>(first.sql, "select version from schema_migrations order by version");
  expect(versions.map((row) => row.version)).toEqual(versions.map((_, index) => index + 1));
  await Promise.all(opened.map(({ store }) => store.tasks.insert([aNewTask()])));
  await Promise.all(opened.map((each) => each[Symbol.asyncDispose]()));
});

test("opening waits for a server that is away, and for one that is starting", async () => {
  const url = await postgres.createDatabase("late");
  await postgres.stop("SIGKILL");

  const opening = open(url);
  const before = await Promise.race([opening.then(() => "open"), new Promise((resolve) => setTimeout(resolve, 300))]);
  await postgres.start();

  expect(before).toBeUndefined();
  await using opened = await opening;
  await opened.store.ping();
});

test("opening ends when its signal aborts, and leaves no connection", async () => {
  const away = new URL(postgres.url);
  away.port = "1";
  const controller = new AbortController();

  const opening = open(away.href, { signal: controller.signal });
  controller.abort(new Error("enough"));

  await expect(opening).rejects.toThrow("enough");
  await expect(open(postgres.url, { signal: controller.signal })).rejects.toThrow("enough");
  await eventually(async () => (await connectionsOf(postgres.url)) === 0);
});

test("a url that is none, and a database of a release that is too new, are refused at once", async () => {
  const url = await postgres.createDatabase("newer");
  {
    await using opened = await open(url);
    await opened.sql.exec("insert into schema_migrations values (9999, 'future', now(), 9999)");
  }

  await expect(open(url)).rejects.toMatchObject({ code: "precondition", reason: "STORE_TOO_NEW" });
  await expect(open("localhost:5432")).rejects.toMatchObject({ code: "invalid", reason: "INVALID_SETTING" });
});

test("closing waits for the calls that run, refuses new ones, and leaves no connection", async () => {
  const url = await postgres.createDatabase("closing");
  const opened = await open(url);
  const gate = aGate();
  const running = opened.sql.transaction(async (sql) => {
    await rows(sql, "select 1::int4 as one");
    await gate.opened;
    return await rows(sql, "select 2::int4 as two");
  });
  await eventually(async () => (await opened.metric("sluice_postgres_connections", { state: "busy" })) === 1);

  const closing = opened[Symbol.asyncDispose]();

  await expect(opened.store.ping()).rejects.toMatchObject({ reason: "STORE_UNAVAILABLE" });
  gate.open();
  expect(await running).toEqual([{ two: 2 }]);
  await closing;
  await eventually(async () => (await connectionsOf(url)) === 0);
});

/** As another database of the server sees them. */
async function connectionsOf(url: string): Promise<number> {
  const other = await postgres.createDatabase(`other_${++others}`);
  await using observer = await open(other, { connectionsMax: 1 });
  const name = new URL(url).pathname.slice(1);
  const text = `select count(*) as open from pg_stat_activity where datname = '${name}'`;
  const [row] = await rows<{ open: number }>(observer.sql, text);
  return row?.open ?? 0;
}
let others = 0;
