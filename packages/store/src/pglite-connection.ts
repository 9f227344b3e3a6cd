// PGlite as an `Sql`: one connection, whose requests are answered in the order in which they were sent. The database
// itself sits behind a `Pipe`, in this thread or in a worker.
import { toAppError, unavailable } from "./failures.ts";
import type { Parameter, Sql, SqlConnection, Statement } from "./sql.ts";
import { type Answer, type Column, decodeAnswer, decodeRow, encodeRequest, encodeScript } from "./wire.ts";

/** Carries one request of the wire protocol to the database and its answer back, in order. */
export interface Pipe {
  /** Takes the bytes over. Rejects when the database is gone. */
  exchange(request: Uint8Array): Promise<Uint8Array>;
  close(): Promise<void>;
}

export class PgliteConnection implements SqlConnection {
  readonly #pipe: Pipe;
  /** The columns of statements that are prepared, or on their way to be. */
  readonly #prepared = new Map<string, Promise<readonly Column[]>>();
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
    const prepared = this.#prepared.get(statement.name);
    if (prepared === undefined) return await this.#prepare<Row>(statement, parameters);
    // Sent at once: requests are worked on in their order, so the statement is prepared when this one arrives.
    const answering = this.#exchange(encodeRequest(statement, parameters, { prepare: false }));
    const [columns, answer] = await Promise.all([prepared, answering]);
    if (answer.failure !== undefined) throw toAppError(answer.failure, statement.name);
    return rowsOf(columns, answer);
  }

  async #prepare<Row>(statement: Statement, parameters: readonly Parameter[]): Promise<Row[]> {
    const answering = this.#exchange(encodeRequest(statement, parameters, { prepare: true }));
    const described = answering.then((answer) => {
      if (answer.columns === undefined) throw toAppError(answer.failure ?? noColumns, statement.name);
      return answer.columns;
    });
    if (statement.name !== "") {
      this.#prepared.set(statement.name, described);
      described.catch(() => this.#prepared.delete(statement.name));
    }
    const [columns, answer] = await Promise.all([described, answering]);
    if (answer.failure !== undefined) throw toAppError(answer.failure, statement.name);
    return rowsOf(columns, answer);
  }

  async #exec(script: string): Promise<void> {
    const { failure } = await this.#exchange(encodeScript(script));
    if (failure !== undefined) throw toAppError(failure, "script");
  }

  async #exchange(request: Uint8Array): Promise<Answer> {
    try {
      return decodeAnswer(await this.#pipe.exchange(request));
    } catch (cause) {
      throw unavailable(cause);
    }
  }
}

const noColumns = { sqlState: "XX000", message: "the statement was not described", constraint: undefined };

function rowsOf<Row>(columns: readonly Column[], answer: Answer): Row[] {
  return answer.rows.map((row) => decodeRow(columns, row) as Row);
}
