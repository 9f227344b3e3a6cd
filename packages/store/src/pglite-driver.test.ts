// What is particular to PGlite: the thread, the folder, and the turn of the event loop within which everything settles.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { aNewTask } from "./conformance/subject.ts";
import { openPglite, openPgliteSql } from "./pglite.ts";
import type { UpkeepOptions } from "./pglite-upkeep.ts";
import { requestsBetweenLooks, upkeep } from "./pglite-upkeep.ts";
import { type Sql, type SqlConnection, type Statement, statement } from "./sql.ts";

describe("in a worker, on a folder", () => {
  let folder = "";
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "sluice-store-"));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  test("what was written is there after closing and opening, and the event loop turns meanwhile", async () => {
    const tasks = Array.from({ length: 5_000 }, () => aNewTask());
    {
      await using store = await openPglite({ dataDir: join(folder, "data"), inWorker: true });
      let turns = 0;
      let isDone = false;
      const turn = () => {
        turns++;
        if (!isDone) setImmediate(turn);
      };
      setImmediate(turn);
      await store.tasks.insert(tasks);
      isDone = true;
      expect(turns).toBeGreaterThan(10);
    }
    await using store = await openPglite({ dataDir: join(folder, "data"), inWorker: true });
    const [first] = tasks;
    if (first === undefined) throw new Error("unreachable");

    expect((await store.tasks.get(first))?.taskId).toBe(first.taskId);
    expect(await store.tasks.countWaiting(first.accountId, 10_000)).toBe(5_000);
  });

  test("a folder of a release that is too new is refused", async () => {
    {
      await using sql = await openPgliteSql({ dataDir: join(folder, "data"), inWorker: true });
      await sql.exec("insert into schema_migrations values (9999, 'future', now(), 9999)");
    }

    const opening = openPglite({ dataDir: join(folder, "data"), inWorker: true });

    await expect(opening).rejects.toMatchObject({ code: "precondition", reason: "STORE_TOO_NEW" });
  });

  test("what cannot be opened is unavailable, with the cause", async () => {
    await writeFile(join(folder, "file"), "not a folder");

    const opening = openPglite({ dataDir: join(folder, "file", "data"), inWorker: true });

    await expect(opening).rejects.toMatchObject({ reason: "STORE_UNAVAILABLE", cause: expect.any(Error) });
  });
});

describe("in this thread, in memory", () => {
  let sql: SqlConnection;
  beforeAll(async () => {
    sql = await openPgliteSql({ dataDir: "memory", inWorker: false });
  });

  const one = statement("one", "select 1::int4 as one");
  const broken = statement("broken", "select 1 / 0 as one");

  test("queries and transactions settle within one turn of the event loop, in their order", async () => {
    const settled: string[] = [];
    const note = (name: string) => () => {
      settled.push(name);
    };

    const all = [
      sql.query(one).then(note("query 1")),
      sql.transaction((inside) => inside.query(one)).then(note("transaction 1")),
      sql.query(one).then(note("query 2")),
      sql.transaction((inside) => inside.query(one)).then(note("transaction 2")),
    ];
    await new Promise((resolve) => setImmediate(resolve));

    expect([...settled].sort()).toEqual(["query 1", "query 2", "transaction 1", "transaction 2"]);
    expect(settled.indexOf("transaction 1")).toBeLessThan(settled.indexOf("transaction 2"));
    await Promise.all(all);
  });

  test("a failed transaction leaves nothing, and the connection works on", async () => {
    await sql.exec("create table rollback_test (id int4)");

    const failed = sql.transaction(async (inside) => {
      await inside.query(statement("", "insert into rollback_test values (1)"));
      await inside.query(broken);
    });

    await expect(failed).rejects.toMatchObject({ code: "internal", reason: "STORE_FAILED" });
    expect(await sql.query(statement("", "select id from rollback_test"))).toEqual([]);
  });

  test("a prepared statement that fails once works the next time", async () => {
    const divide = statement("divide", "select 6 / $1::int4 as quotient");

    await expect(sql.query(divide, [0])).rejects.toThrow();
    expect(await sql.query(divide, [2])).toEqual([{ quotient: 3 }]);
    await expect(sql.query(statement("wrong", "selec 1"))).rejects.toThrow();
    await expect(sql.query(statement("wrong", "selec 1"))).rejects.toThrow();
  });

  test("upkeep never falls into a transaction", async () => {
    const work = Array.from({ length: requestsBetweenLooks * 3 }, (_, at) =>
      at % 3 === 0 ? sql.transaction((inside) => inside.query(one)) : sql.query(one),
    );

    expect((await Promise.all(work)).flat()).toEqual(work.map(() => ({ one: 1 })));
  });

  test("a closed connection is unavailable", async () => {
    await sql[Symbol.asyncDispose]();

    await expect(sql.query(one)).rejects.toMatchObject({ code: "unavailable", reason: "STORE_UNAVAILABLE" });
    await expect(sql.transaction((inside) => inside.query(one))).rejects.toMatchObject({ code: "unavailable" });
  });
});

describe("upkeep", () => {
  /** Answers every look with a command named after it, and records what is executed. */
  async function commandsOf(options: UpkeepOptions): Promise<string[]> {
    const executed: string[] = [];
    const sql: Sql = {
      query: async <Row>({ name }: Statement) => [{ command: name } as Row],
      exec: async (script) => {
        executed.push(script);
      },
      transaction: (work) => work(sql),
    };
    await upkeep(sql, options);
    return executed;
  }

  test("runs what the looks call for, and no vacuum where it is not wanted", async () => {
    expect(await commandsOf({ vacuum: true })).toEqual(["upkeep_checkpoint", "upkeep_vacuum"]);
    expect(await commandsOf({ vacuum: false })).toEqual(["upkeep_checkpoint"]);
  });
});
