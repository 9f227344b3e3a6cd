import { AppError, assert, type Clock } from "@sluice/core";
import { StoreUnavailable } from "../failures.ts";
import type { PostgresMetrics } from "../metrics.ts";
import type { Parameter, Sql, SqlConnection, Statement } from "../sql.ts";
import type { PostgresConnection } from "./connection.ts";
import type { Pool } from "./pool.ts";

export interface PooledSqlOptions {
  readonly pool: Pool;
  /** A statement that takes longer costs its connection. */
  readonly statementDeadlineMs: number;
  readonly clock: Clock;
  readonly metrics: PostgresMetrics;
}

/** A migration may build an index over millions of rows. */
const scriptDeadlineMs = 30 * 60_000;

/** Statements on the connections of a pool. Closes it. */
export class PooledSql implements SqlConnection {
  readonly #pool: Pool;
  readonly #statementDeadlineMs: number;
  readonly #clock: Clock;
  readonly #metrics: PostgresMetrics;

  constructor({ pool, statementDeadlineMs, clock, metrics }: PooledSqlOptions) {
    this.#pool = pool;
    this.#statementDeadlineMs = statementDeadlineMs;
    this.#clock = clock;
    this.#metrics = metrics;
  }

  query<Row>(statement: Statement, parameters: readonly Parameter[] = []): Promise<Row[]> {
    return this.#use((connection) => this.#query(connection, statement, parameters));
  }

  exec(script: string): Promise<void> {
    return this.#use((connection) => this.#exec(connection, script));
  }

  transaction<Result>(work: (sql: Sql) => Promise<Result>): Promise<Result> {
    return this.#use((connection) => this.#transaction(connection, work));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#pool.close();
  }

  async #use<Result>(work: (connection: PostgresConnection) => Promise<Result>): Promise<Result> {
    let connection: PostgresConnection | undefined;
    try {
      connection = await this.#pool.acquire();
      return await work(connection);
    } catch (error) {
      if (error instanceof AppError) this.#metrics.errors.inc({ reason: reasonOf(error) });
      throw error;
    } finally {
      if (connection !== undefined) this.#pool.release(connection);
    }
  }

  async #query<Row>(
    connection: PostgresConnection,
    statement: Statement,
    parameters: readonly Parameter[],
  ): Promise<Row[]> {
    const end = this.#timed(statement.name);
    return await connection.query<Row>(statement, parameters, this.#statementDeadlineMs).finally(end);
  }

  async #exec(connection: PostgresConnection, script: string): Promise<void> {
    await connection.exec(script, scriptDeadlineMs);
  }

  async #transaction<Result>(connection: PostgresConnection, work: (sql: Sql) => Promise<Result>): Promise<Result> {
    const sql: Sql = {
      query: (statement, parameters = []) => this.#query(connection, statement, parameters),
      exec: (script) => this.#exec(connection, script),
      transaction: (nested) => nested(sql),
    };
    await sql.exec("begin");
    let result: Result;
    try {
      result = await work(sql);
      // The server would answer a commit by rolling back, and call that a success.
      assert(connection.transaction === "open", "work that fails says so");
    } catch (error) {
      // If this fails too, the connection is broken, and the transaction with it.
      await sql.exec("rollback").catch(() => {});
      throw error;
    }
    await sql.exec("commit");
    return result;
  }

  /** Call it at the end. */
  #timed(statement: string): () => void {
    const startedAt = this.#clock.monotonic();
    const labels = { statement: statement || "unnamed" };
    return () => this.#metrics.statementSeconds.observe(labels, (this.#clock.monotonic() - startedAt) / 1000);
  }
}

/** Few: the names of outages, and the reasons of other errors of the store. */
function reasonOf(error: AppError): string {
  return error instanceof StoreUnavailable ? error.outage : error.reason.toLowerCase();
}
