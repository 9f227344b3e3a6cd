// PGlite as an `Sql`: one connection, whose requests are answered in the order in which they were sent. The database
// itself sits behind a `Pipe`, in this thread or in a worker.
import { assert } from "@sluice/core";
import { toAppError, unavailable } from "./failures.ts";
import type { Parameter, Sql, SqlConnection, Statement } from "./sql.ts";
import { type Column, decodeAnswer, decodeRow, encodeRequest, encodeScript } from "./wire.ts";

/** Carries one request of the wire protocol to the database and its answer back, in order. */
export interface Pipe {
  /** Takes the bytes over. Rejects when the database is gone. */
  exchange(request: Uint8Array): Promise<Uint8Array>;
  close(): Promise<void>;
}

export class PgliteConnection implements SqlConnection {
  readonly #pipe: Pipe;
  /** Statements that were prepared, or are on their way; the columns arrive with the first answer. */
  readonly #prepared = new Map<string, { columns: readonly Column[] | undefined }>();
  /** While a transaction is open: resolves when it has ended. Everybody else waits for it. */
  #transaction: Promise<void> | undefined;

  constructor(pipe: Pipe) {
    this.#pipe = pipe;
  }

  async query<Row>(statement: Statement, parameters: readonly Parameter[] = []): Promise<Row[]> {
    while (this.#transaction !== undefined) await this.#transaction;
    return await this.#query<Row>(statement, parameters);
  }

  async exec(script: string): Promise<void> {
    while (this.#transaction !== undefined) await this.#transaction;
    await this.#exec(script);
  }

  async transaction<Result>(work: (sql: Sql) => Promise<Result>): Promise<Result> {
    while (this.#transaction !== undefined) await this.#transaction;
    let end = () => {};
    this.#transaction = new Promise((resolve) => {
      end = resolve;
    });
    try {
      return await this.#runTransaction(work);
    } finally {
      this.#transaction = undefined;
      end();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    while (this.#transaction !== undefined) await this.#transaction;
    await this.#pipe.close();
  }

  async #runTransaction<Result>(work: (sql: Sql) => Promise<Result>): Promise<Result> {
    const inside: Sql = {
      query: (statement, parameters = []) => this.#query(statement, parameters),
      exec: (script) => this.#exec(script),
      transaction: (nested) => nested(inside),
    };
    await this.#exec("begin");
    let result: Result;
    try {
      result = await work(inside);
    } catch (error) {
      // If the rollback fails too, the database is gone, and the transaction with it.
      await this.#exec("rollback").catch(() => {});
      throw error;
    }
    await this.#exec("commit");
    return result;
  }

  async #query<Row>(statement: Statement, parameters: readonly Parameter[]): Promise<Row[]> {
    const known = statement.name === "" ? undefined : this.#prepared.get(statement.name);
    const entry = known ?? { columns: undefined };
    // Noted before the answer: a second request in the meantime must not prepare it again.
    if (statement.name !== "") this.#prepared.set(statement.name, entry);
    const request = encodeRequest(statement, parameters, { prepare: known === undefined });
    const answer = decodeAnswer(await this.#exchange(request));
    if (answer.columns !== undefined) entry.columns = answer.columns;
    if (answer.failure !== undefined) {
      if (entry.columns === undefined) this.#prepared.delete(statement.name);
      throw toAppError(answer.failure, statement.name);
    }
    const columns = entry.columns;
    assert(columns !== undefined, `the columns of ${statement.name} are known`);
    return answer.rows.map((row) => decodeRow(columns, row) as Row);
  }

  async #exec(script: string): Promise<void> {
    const answer = decodeAnswer(await this.#exchange(encodeScript(script)));
    if (answer.failure !== undefined) throw toAppError(answer.failure, "script");
  }

  async #exchange(request: Uint8Array): Promise<Uint8Array> {
    try {
      return await this.#pipe.exchange(request);
    } catch (cause) {
      throw unavailable(cause);
    }
  }
}
