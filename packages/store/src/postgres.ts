import type { Clock, HealthSignal, Random, TlsFiles } from "@sluice/core";
import { isRetryable } from "@sluice/core";
import type { Logger } from "@sluice/runtime";
import type { Registry } from "prom-client";
import type { Store } from "./index.ts";
import { postgresMetrics } from "./metrics.ts";
import { migrate } from "./migrate.ts";
import { checkAddress } from "./postgres/connect.ts";
import { Pool } from "./postgres/pool.ts";
import { PooledSql } from "./postgres/pooled-sql.ts";
import type { SqlConnection } from "./sql.ts";
import { createSqlStore } from "./sql-store.ts";

export { postgresMetrics } from "./metrics.ts";

export interface PostgresOptions {
  /** `postgres://user:password@host:port/database`; with `?sslmode=…` for TLS without `tls`. */
  readonly url: string;
  /** Default 10. The server must take those of all processes, and one more of each, with which it sees who answers. */
  readonly connectionsMax?: number;
  /**
   * Default 10,000. Every statement of the store takes milliseconds; one that takes so long has met a server in trouble. Not
   * for migrations.
   */
  readonly statementDeadlineMs?: number;
  /** Demands TLS, and a server whose certificate is of this authority and names the host of the url. */
  readonly tls?: TlsFiles;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly registry: Registry;
  /** Ends the opening; not the store, once it is open. */
  readonly signal?: AbortSignal;
}

/**
 * The store on a PostgreSQL server, from version 14 on, of which this may be one of many clients. Creates what is missing.
 *
 * Waits for a server that is away. Rejects with `INVALID_SETTING` (the url), `STORE_TOO_NEW`, and with the reason of the
 * signal. Once it is open, calls to a server that is away are refused with `STORE_UNAVAILABLE`, at once or within some two
 * seconds, until it is back; `health` tells which.
 */
export async function openPostgres(options: PostgresOptions): Promise<Store & { readonly health: HealthSignal }> {
  const { sql, health } = await openPostgresSql(options);
  return { ...createSqlStore({ sql }), health };
}

/** The connections beneath `openPostgres`, migrated; for tests that look at tables and plans. */
export async function openPostgresSql(
  options: PostgresOptions,
): Promise<{ readonly sql: SqlConnection; readonly health: HealthSignal }> {
  const { url, tls, connectionsMax = 10, statementDeadlineMs = 10_000, clock, random, log, registry } = options;
  const address = { url, ...(tls && { tls }) };
  checkAddress(address);
  const metrics = postgresMetrics(registry);
  const common = { statementDeadlineMs, clock, metrics };
  const pool = new Pool({ ...common, address, connectionsMax, random: random.fork("postgres"), log });
  const sql = new PooledSql({ ...common, pool });
  pool.start();
  try {
    await migrateWhenUp(sql, pool.health, options);
    return { sql, health: pool.health };
  } catch (error) {
    await pool.close();
    throw error;
  }
}

const againMs = 250;

/** A server that goes away in the middle of it rolls it back. */
async function migrateWhenUp(sql: SqlConnection, health: HealthSignal, options: PostgresOptions): Promise<void> {
  const { clock, random, log, signal = never } = options;
  for (;;) {
    await untilUp(health, signal);
    try {
      await migrate(sql);
      return;
    } catch (error) {
      if (!isRetryable(error)) throw error;
      log.warn("cannot migrate the store yet", { error });
      await clock.sleep(againMs * (1 + random.next()), signal);
    }
  }
}

const never = new AbortController().signal;

/** Rejects with the signal's reason. */
function untilUp(health: HealthSignal, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const look = () => {
      if (!signal.aborted && !health.isUp) return;
      stop();
      signal.removeEventListener("abort", look);
      if (signal.aborted) reject(signal.reason);
      else resolve();
    };
    const stop = health.watch(look);
    signal.addEventListener("abort", look);
    look();
  });
}
