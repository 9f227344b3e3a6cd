// The server goes away, in every manner, and comes back.
import { AppError, type OwnedPartition, TaskId } from "@sluice/core";
import { eventually } from "@sluice/core/testing";
import { type PostgresBackend, startPostgres } from "@sluice/testbed";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { aNewTask } from "../conformance/subject.ts";
import type { StoreUnavailable } from "../failures.ts";
import { statement } from "../sql.ts";
import { backendPid, hold, type Opened, open, rows } from "./testing.ts";

let postgres: PostgresBackend;
let url = "";
let databases = 0;
beforeAll(async () => {
  postgres = await startPostgres({ fsync: false });
  await using admin = await open(postgres.url);
  // What is committed survives the server, though not the machine.
  await admin.sql.exec("alter role sluice set synchronous_commit = on");
});
afterAll(() => postgres[Symbol.asyncDispose]());
// So that a test that fails costs the others nothing.
afterEach(async () => {
  postgres.kill("SIGCONT");
  await postgres.start();
});
beforeEach(async () => {
  url = await postgres.createDatabase(`outages_${++databases}`);
});

const outage = { code: "unavailable", reason: "STORE_UNAVAILABLE" };

/** Far below the deadlines of statements, and above what a busy machine adds. */
const soonMs = 6_000;

/** Inserts tasks one after the other until it is stopped; remembers which were accepted, and the longest call. */
function insertInLoops({ store }: Opened, loops: number) {
  const accepted: TaskId[] = [];
  const failures: unknown[] = [];
  let slowestMs = 0;
  let isStopped = false;
  const loop = async (name: number) => {
    for (let at = 0; !isStopped; at++) {
      const taskId = TaskId(`loop-${name}-${at}`);
      const startedAt = performance.now();
      try {
        await store.tasks.insert([aNewTask({ taskId, submissionToken: taskId })]);
        accepted.push(taskId);
      } catch (error) {
        failures.push(error);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      slowestMs = Math.max(slowestMs, performance.now() - startedAt);
    }
  };
  const running = Promise.all(Array.from({ length: loops }, (_, name) => loop(name)));
  return {
    accepted,
    failures,
    slowest: () => slowestMs,
    stop: async () => {
      isStopped = true;
      await running;
    },
  };
}

describe("a server that goes away while calls run", () => {
  const ways = [
    { title: "killed", leave: () => postgres.stop("SIGKILL"), comeBack: () => postgres.start() },
    { title: "shut down", leave: () => postgres.stop("SIGINT"), comeBack: () => postgres.start() },
    {
      title: "frozen",
      leave: async () => postgres.kill("SIGSTOP"),
      comeBack: async () => postgres.kill("SIGCONT"),
    },
  ];
  test.each(ways)("$title: calls are refused soon, and what was accepted is there when it is back", async (way) => {
    await using opened = await open(url);
    const load = insertInLoops(opened, 16);
    await eventually(() => load.accepted.length > 100);

    await way.leave();
    await eventually(() => !opened.health.isUp);
    const refusedBefore = load.failures.length;
    await eventually(() => load.failures.length > refusedBefore + 100);
    const acceptedBefore = load.accepted.length;
    await way.comeBack();
    await eventually(() => opened.health.isUp && load.accepted.length > acceptedBefore + 100);
    await load.stop();

    expect(load.slowest()).toBeLessThan(soonMs);
    for (const failure of load.failures) expect(failure).toMatchObject(outage);
    const found = await rows<{ task_id: string }>(opened.sql, "select task_id from tasks");
    const ids = new Set(found.map((row) => row.task_id));
    expect(load.accepted.filter((taskId) => !ids.has(taskId))).toEqual([]);
    expect(await opened.metric("sluice_postgres_outages_total")).toBe(1);
    expect(await opened.metric("sluice_postgres_errors_total", { reason: "away" })).toBeGreaterThan(50);
  });

  test("a server that is gone while nobody calls is noticed, and its return as well", async () => {
    await using opened = await open(url);
    const seen: boolean[] = [];
    opened.health.watch((isUp) => seen.push(isUp));

    await postgres.stop("SIGKILL");
    await eventually(() => !opened.health.isUp);
    await expect(opened.store.ping()).rejects.toMatchObject(outage);
    await postgres.start();
    await eventually(() => opened.health.isUp);

    await opened.store.ping();
    expect(seen).toEqual([false, true]);
  });
});

describe("a connection that breaks", () => {
  test("in the middle of a transaction rolls it back, costs that call only, and is replaced", async () => {
    await using opened = await open(url, { connectionsMax: 2 });
    const task = aNewTask();
    const owner: OwnedPartition = { queue: "q", prefix: "", epoch: 1 };

    const broken = opened.sql.transaction(async (sql) => {
      await sql.query(statement("", "insert into accounts values ('half', 0)"));
      const pid = await backendPid(sql);
      await rows(opened.sql, `select pg_terminate_backend(${pid})`);
      await sql.query(statement("", "insert into accounts values ('other half', 0)"));
    });

    await expect(broken).rejects.toMatchObject({ ...outage, outage: "stopping" });
    await Promise.all([opened.store.tasks.insert([task]), opened.store.lanes.raiseFloor(owner), opened.store.ping()]);
    expect(await rows(opened.sql, "select account_id from accounts")).toEqual([]);
    expect(opened.health.isUp).toBe(true);
    expect(await opened.metric("sluice_postgres_outages_total")).toBe(0);
  });

  test("while it is idle costs nobody a call", async () => {
    await using opened = await open(url, { connectionsMax: 1 });
    await using other = await open(url);
    const pid = await backendPid(opened.sql);

    await rows(other.sql, `select pg_terminate_backend(${pid})`);
    await eventually(async () => (await opened.metric("sluice_postgres_connections", { state: "idle" })) === 0);

    expect(await backendPid(opened.sql)).not.toBe(pid);
    expect(opened.health.isUp).toBe(true);
  });

  test("as its statement takes too long: the others go on", async () => {
    await using opened = await open(url, { connectionsMax: 2, statementDeadlineMs: 1_500 });
    let pid = 0;
    const frozen = opened.sql.transaction(async (sql) => {
      pid = await backendPid(sql);
      process.kill(pid, "SIGSTOP");
      await backendPid(sql);
    });
    let isOver = false;
    const over = frozen
      .catch(() => {})
      .finally(() => {
        isOver = true;
      });

    while (!isOver) await opened.store.ping();

    await over;
    process.kill(pid, "SIGCONT");
    await expect(frozen).rejects.toMatchObject({ ...outage, outage: "deadline" });
    expect(opened.health.isUp).toBe(true);
  });
});

describe("calls that find no connection", () => {
  test("wait for their turn, in their order", async () => {
    await using opened = await open(url, { connectionsMax: 1 });
    const held = await hold(opened.sql, async () => {});
    const order: number[] = [];

    const pings = [1, 2, 3].map((at) => opened.store.ping().then(() => order.push(at)));
    await eventually(async () => (await opened.metric("sluice_postgres_waiting_calls")) === 3);
    await held.commit();

    await Promise.all(pings);
    expect(order).toEqual([1, 2, 3]);
  });

  test("are refused after two seconds, and nothing was done", async () => {
    await using opened = await open(url, { connectionsMax: 1 });
    const held = await hold(opened.sql, async () => {});

    await expect(opened.store.ping()).rejects.toMatchObject({ ...outage, outage: "no_connection" });

    await held.commit();
    await opened.store.ping();
  });

  test("are refused at once when too many wait already", async () => {
    await using opened = await open(url, { connectionsMax: 1 });
    const held = await hold(opened.sql, async () => {});
    const waiting = Array.from({ length: 1_000 }, () => opened.store.ping());
    await eventually(async () => (await opened.metric("sluice_postgres_waiting_calls")) === 1_000);

    await expect(opened.store.ping()).rejects.toMatchObject({ ...outage, outage: "no_connection" });

    await held.commit();
    await Promise.all(waiting);
  });
});

describe("a transaction", () => {
  test("whose failure was passed over is not committed", async () => {
    await using opened = await open(url, { connectionsMax: 1 });

    const passedOver = opened.sql.transaction(async (sql) => {
      await rows(sql, "insert into accounts values ('a', 0) returning account_id");
      await rows(sql, "select 1 / 0").catch(() => {});
    });

    await expect(passedOver).rejects.toThrow();
    expect(await rows(opened.sql, "select account_id from accounts")).toEqual([]);
  });
});

describe("what the server refuses", () => {
  test("a statement that takes too long is ended by the server, and the connection works on", async () => {
    await using opened = await open(url, { connectionsMax: 1, statementDeadlineMs: 1_000 });
    const pid = await backendPid(opened.sql);

    await expect(rows(opened.sql, "select pg_sleep(60)::text")).rejects.toMatchObject({ outage: "cancelled" });

    expect(await backendPid(opened.sql)).toBe(pid);
  });

  test("a server without room for more connections serves everybody on those that it has", async () => {
    await using admin = await open(url);
    const name = new URL(url).pathname.slice(1);
    await admin.sql.exec(`create role limited_${name} login connection limit 3; grant all on all tables in schema public
      to limited_${name}; grant create on schema public to limited_${name};`);
    const limited = new URL(url);
    limited.username = `limited_${name}`;
    await using opened = await open(limited.href, { connectionsMax: 10 });

    // Long enough for more connections to be wanted than there may be.
    const calls = Array.from({ length: 40 }, () => opened.sql.exec("select pg_sleep(0.05)"));

    await Promise.all(calls);
    expect(await opened.metric("sluice_postgres_connects_total", { outcome: "failed" })).toBeGreaterThan(0);
    expect(opened.health.isUp).toBe(true);
  });

  test("a server that became read-only is none, until it takes writes again", async () => {
    await using admin = await open(postgres.url);
    await using opened = await open(url, { connectionsMax: 2 });
    const name = new URL(url).pathname.slice(1);

    await admin.sql.exec(`alter database ${name} set default_transaction_read_only = on`);
    await opened.sql.exec("set default_transaction_read_only = on");
    await eventually(async () => {
      const failure = await opened.store.tasks.insert([aNewTask()]).catch((error: unknown) => error);
      return failure instanceof AppError && (failure as StoreUnavailable).outage === "away";
    });
    expect(opened.health.isUp).toBe(false);
    await admin.sql.exec(`alter database ${name} reset default_transaction_read_only`);
    await eventually(() => opened.health.isUp);

    await opened.store.tasks.insert([aNewTask()]);
  });
});
