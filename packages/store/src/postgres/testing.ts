// What the tests of the driver share: stores on a server of their own.
import { assert, type TlsFiles } from "@sluice/core";
import { eventually, seededRandom } from "@sluice/core/testing";
import { silentLogger, systemClock } from "@sluice/runtime";
import { Registry } from "prom-client";
import type { Store } from "../index.ts";
import { openPostgresSql, type PostgresOptions } from "../postgres.ts";
import { type Sql, type SqlConnection, statement } from "../sql.ts";
import { createSqlStore } from "../sql-store.ts";

export interface Opened extends AsyncDisposable {
  readonly sql: SqlConnection;
  readonly store: Store;
  readonly health: Awaited<ReturnType<typeof openPostgresSql>>["health"];
  /** The sum over a metric's labels. */
  metric(name: string, labels?: Readonly<Record<string, string>>): Promise<number>;
}

type Overrides = Partial<Pick<PostgresOptions, "connectionsMax" | "statementDeadlineMs" | "signal">> & {
  readonly tls?: TlsFiles;
};

export async function open(url: string, overrides: Overrides = {}): Promise<Opened> {
  const registry = new Registry();
  const rest = { clock: systemClock, random: seededRandom(1), log: silentLogger, registry };
  const { sql, health } = await openPostgresSql({ url, ...rest, ...overrides });
  return {
    sql,
    health,
    store: createSqlStore({ sql }),
    async metric(name, labels = {}) {
      const values = (await registry.getSingleMetric(name)?.get())?.values ?? [];
      const wanted = values.filter((value) =>
        Object.entries(labels).every(([label, text]) => value.labels[label as never] === text),
      );
      return wanted.reduce((sum, { value }) => sum + value, 0);
    },
    [Symbol.asyncDispose]: () => sql[Symbol.asyncDispose](),
  };
}

/** Rows of a text without a name. */
export function rows<Row>(sql: Sql, text: string): Promise<Row[]> {
  return sql.query<Row>(statement("", text));
}

/** The server's process behind a connection. */
export async function backendPid(sql: Sql): Promise<number> {
  const [row] = await rows<{ pid: number }>(sql, "select pg_backend_pid() as pid");
  assert(row !== undefined, "there is a process");
  return row.pid;
}

/** Waits until a statement of somebody waits for a lock. */
export async function untilBlocked(sql: Sql, count = 1): Promise<void> {
  const text = `select count(*) as blocked from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'`;
  await eventually(async () => {
    const [row] = await rows<{ blocked: number }>(sql, text);
    return (row?.blocked ?? 0) >= count;
  });
}

/** Holds up whoever awaits `opened`. */
export function aGate(): { readonly opened: Promise<void>; open(): void } {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open: () => open() };
}

export interface Held {
  commit(): Promise<void>;
  rollBack(): Promise<void>;
}

/** A transaction that has done its work, and stays open until it is told how to end. */
export async function hold(sql: Sql, work: (store: Store) => Promise<unknown>): Promise<Held> {
  const end = aGate();
  const reached = aGate();
  const rolledBack = new Error("rolled back");
  let isToCommit = true;
  const running = sql.transaction(async (inside) => {
    await work(createSqlStore({ sql: { ...inside, [Symbol.asyncDispose]: async () => {} } }));
    reached.open();
    await end.opened;
    if (!isToCommit) throw rolledBack;
  });
  await Promise.race([reached.opened, running]);
  return {
    async commit() {
      end.open();
      await running;
    },
    async rollBack() {
      isToCommit = false;
      end.open();
      await running.catch((error: unknown) => assert(error === rolledBack, "nothing else went wrong"));
    },
  };
}
