// PGlite as an `Sql`: one connection, whose requests are answered in the order in which they were sent. The database
// itself sits behind a `Pipe`, in this thread or in a worker.
import { StoreUnavailable, toAppError } from "./failures.ts";
import { requestsBetweenLooks, type UpkeepOptions, upkeep } from "./pglite-upkeep.ts";
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
  readonly #upkeep: UpkeepOptions;
  /** The columns of statements that are prepared, or on their way to be. */
  readonly #prepared = new Map<string, Promise<readonly Column[]>>();
  /** While somebody has the connection for himself: resolves when that has ended. Everybody else waits for it. */
  #exclusive: Promise<void> | undefined;
  /** Since the last look whether there is something to keep up. */
  #requests = 0;

  constructor(pipe: Pipe, options: { readonly upkeep: UpkeepOptions }) {
    this.#pipe = pipe;
    this.#upkeep = options.upkeep;
  }

  async query<Row>(statement: Statement, parameters: readonly Parameter[] = []): Promise<Row[]> {
    this.#keepUp();
    while (this.#exclusive !== undefined) await this.#exclusive;
    return await this.#query<Row>(statement, parameters);
  }

  async exec(script: string): Promise<void> {
    while (this.#exclusive !== undefined) await this.#exclusive;
    await this.#exec(script);
  }

  async transaction<Result>(work: (sql: Sql) => Promise<Result>): Promise<Result> {
    return await this.#exclusively(async (sql) => {
      await sql.exec("begin");
      let result: Result;
      try {
        result = await work(sql);
      } catch (error) {
        // If the rollback fails too, the database is gone, and the transaction with it.
        await sql.exec("rollback").catch(() => {});
        throw error;
      }
      await sql.exec("commit");
      return result;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    while (this.#exclusive !== undefined) await this.#exclusive;
    await this.#pipe.close();
  }

  /** Nobody waits for it but those who come after it. What fails here fails for the next request as well, and is told there. */
  #keepUp(): void {
    if (++this.#requests < requestsBetweenLooks) return;
    this.#requests = 0;
    this.#exclusively((sql) => upkeep(sql, this.#upkeep)).catch(() => {});
  }

  async #exclusively<Result>(work: (sql: Sql) => Promise<Result>): Promise<Result> {
    while (this.#exclusive !== undefined) await this.#exclusive;
    let end = () => {};
    this.#exclusive = new Promise((resolve) => {
      end = resolve;
    });
    const sql: Sql = {
      query: (statement, parameters = []) => this.#query(statement, parameters),
      exec: (script) => this.#exec(script),
      transaction: (nested) => nested(sql),
    };
    try {
      return await work(sql);
    } finally {
      this.#exclusive = undefined;
      end();
    }
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
      throw new StoreUnavailable("broken", cause);
    }
  }
}

const noColumns = { sqlState: "XX000", message: "the statement was not described", constraint: undefined };

function rowsOf<Row>(columns: readonly Column[], answer: Answer): Row[] {
  return answer.rows.map((row) => decodeRow(columns, row) as Row);
}
