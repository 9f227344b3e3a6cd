import { PGlite } from "@electric-sql/pglite";
import { AppError, type Clock } from "@sluice/core";
import type { Store } from "./index.ts";
import { migrate } from "./migrate.ts";
import { PgliteConnection, type Pipe } from "./pglite-connection.ts";
import { pgliteSettings } from "./pglite-settings.ts";
import { openWorkerPipe } from "./pglite-worker-pipe.ts";
import { type SqlConnection, sessionScript } from "./sql.ts";
import { createSqlStore } from "./sql-store.ts";

/** For a store on a connection that is kept while its clock changes: the simulation runs one seed after the other on it. */
export { createSqlStore } from "./sql-store.ts";

export interface PgliteOptions {
  /** A folder of this process alone (two processes that open one folder destroy it), or nothing that outlives it. */
  readonly dataDir: string | "memory";
  /**
   * True: in a worker thread, because PGlite blocks its event loop while it works. False: in this thread, where every
   * call settles within microtasks; for the simulation.
   */
  readonly inWorker: boolean;
  /** The time authority. Default: the database's clock. */
  readonly clock?: Clock;
}

/** The store on an embedded PostgreSQL. Creates what is missing. */
export async function openPglite(options: PgliteOptions): Promise<Store> {
  const sql = await openPgliteSql(options);
  return createSqlStore({ sql, ...(options.clock && { clock: options.clock }) });
}

/** The connection beneath `openPglite`, migrated; for tests that look at tables and plans. */
export async function openPgliteSql(options: Omit<PgliteOptions, "clock">): Promise<SqlConnection> {
  const dataDir = options.dataDir === "memory" ? "memory://" : options.dataDir;
  const opening = options.inWorker ? openWorkerPipe(dataDir) : openPipe(dataDir);
  const pipe = await opening.catch((cause: unknown) => {
    throw new AppError("unavailable", "STORE_UNAVAILABLE", `the database in ${dataDir} cannot be opened`, { cause });
  });
  const sql = new PgliteConnection(pipe, { upkeep: { vacuum: options.inWorker } });
  try {
    await sql.exec(sessionScript());
    await migrate(sql);
  } catch (error) {
    await sql[Symbol.asyncDispose]();
    throw error;
  }
  return sql;
}

async function openPipe(dataDir: string): Promise<Pipe> {
  const database = await PGlite.create({
    dataDir,
    startParams: [...PGlite.defaultStartParams, ...pgliteSettings],
  });
  return {
    // Synchronous, so that every call is over before the next one begins, whoever awaits what in between.
    exchange: async (request) => database.execProtocolRawSync(request),
    close: () => database.close(),
  };
}
