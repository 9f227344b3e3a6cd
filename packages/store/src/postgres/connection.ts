// One connection to a PostgreSQL server. It works on one request at a time; who asks for two is wrong.
//
// `pg` opens it (`connect.ts`), and from then on the requests and answers of `wire.ts` travel on its socket, as they do with
// PGlite. `pg` itself reads results as text only: its binary mode turns each value into a string first, which destroys
// `bytea`. In binary a read of 256 rows costs 3.5 µs a row of this process instead of 7.5, an insert 4 instead of 5.5.
//
//   usable ──▶ broken    the socket closed, a deadline passed, or the server said something after which its session is over
import type { Duplex } from "node:stream";
import { type AppError, assert, type Clock } from "@sluice/core";
import { DatabaseError, StoreUnavailable, toAppError } from "../failures.ts";
import type { Parameter, Statement } from "../sql.ts";
import { type Answer, type Column, decodeAnswer, decodeRow, encodeRequest, encodeScript, terminate } from "../wire.ts";
import { AnswerReader } from "./answer-reader.ts";

export interface ConnectionOptions {
  /** Of a session that is ready for its first request. */
  readonly socket: Duplex;
  readonly clock: Clock;
  /** Called once, after the request that it met was rejected. */
  readonly onBroken: (connection: PostgresConnection, cause: AppError) => void;
}

/** `failed`: a statement failed, and the server does nothing more but to roll back. */
export type TransactionState = "none" | "open" | "failed";

interface Request {
  readonly sentAt: number;
  readonly deadlineMs: number;
  /** Reads everything at once: the bytes behind the answer are used again. */
  answer(answer: Answer): void;
  reject(error: AppError): void;
}

export class PostgresConnection {
  readonly #socket: Duplex;
  readonly #clock: Clock;
  readonly #onBroken: (connection: PostgresConnection, cause: AppError) => void;
  readonly #reader = new AnswerReader();
  /** The columns of the statements that this session keeps prepared. */
  readonly #prepared = new Map<string, readonly Column[]>();
  #request: Request | undefined;
  #brokenBy: AppError | undefined;
  #transaction: TransactionState = "none";
  #heardAt: number;

  constructor({ socket, clock, onBroken }: ConnectionOptions) {
    this.#socket = socket;
    this.#clock = clock;
    this.#onBroken = onBroken;
    this.#heardAt = clock.monotonic();
    socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    socket.on("error", (cause) => this.break(this.#lastWords(cause)));
    socket.on("close", () => this.break(this.#lastWords(new Error("the connection was closed"))));
  }

  get isUsable(): boolean {
    return this.#brokenBy === undefined;
  }

  /** As the last answer said. */
  get transaction(): TransactionState {
    return this.#transaction;
  }

  /** When something arrived for the last time; monotonic. */
  get heardAt(): number {
    return this.#heardAt;
  }

  /** The request that waits for its answer: since when, and for how long it may. */
  get pending(): { readonly sentAt: number; readonly deadlineMs: number } | undefined {
    return this.#request;
  }

  query<Row>(statement: Statement, parameters: readonly Parameter[], deadlineMs: number): Promise<Row[]> {
    const known = this.#prepared.get(statement.name);
    const request = encodeRequest(statement, parameters, { prepare: known === undefined });
    return this.#exchange(request, deadlineMs, (answer) => {
      const columns = known ?? answer.columns;
      if (statement.name !== "" && columns !== undefined) this.#prepared.set(statement.name, columns);
      if (answer.failure !== undefined) throw this.#failed(toAppError(answer.failure, statement.name));
      assert(columns !== undefined, "a statement that was prepared has columns");
      return answer.rows.map((row) => decodeRow(columns, row) as Row);
    });
  }

  /** A script of statements without results. */
  exec(script: string, deadlineMs: number): Promise<void> {
    return this.#exchange(encodeScript(script), deadlineMs, ({ failure }) => {
      if (failure !== undefined) throw this.#failed(toAppError(failure, "script"));
    });
  }

  /** Ends it at once; the request that waits is rejected. What the server makes of that request is not known. */
  break(cause: AppError): void {
    if (this.#brokenBy !== undefined) return;
    this.#brokenBy = cause;
    this.#socket.destroy();
    this.#request?.reject(cause);
    this.#request = undefined;
    this.#onBroken(this, cause);
  }

  /** Says good-bye; only while no request waits. */
  close(): void {
    if (this.#brokenBy !== undefined) return;
    this.#brokenBy = new StoreUnavailable("broken", new Error("closed"));
    this.#socket.end(terminate, () => this.#socket.destroy());
  }

  #exchange<Result>(bytes: Uint8Array, deadlineMs: number, read: (answer: Answer) => Result): Promise<Result> {
    assert(this.#request === undefined, "one request at a time");
    return new Promise((resolve, reject) => {
      if (this.#brokenBy !== undefined) {
        reject(this.#brokenBy);
        return;
      }
      const answer = (complete: Answer) => {
        try {
          resolve(read(complete));
        } catch (error) {
          reject(error);
        }
      };
      this.#request = { sentAt: this.#clock.monotonic(), deadlineMs, answer, reject };
      this.#socket.write(bytes);
    });
  }

  #onData(chunk: Buffer): void {
    this.#heardAt = this.#clock.monotonic();
    try {
      const bytes = this.#reader.push(chunk);
      if (bytes === undefined) return;
      const answer = decodeAnswer(bytes);
      const request = this.#request;
      this.#request = undefined;
      this.#transaction = transactionStates.get(bytes.at(-1) ?? 0) ?? "none";
      request?.answer(answer);
    } catch (cause) {
      this.break(new StoreUnavailable("broken", cause));
    }
  }

  /** What the server said before the connection broke, such as that an administrator ended it, tells more than the socket. */
  #lastWords(cause: Error): StoreUnavailable {
    const { failure } = decodeAnswer(this.#reader.unfinished());
    if (failure === undefined) return new StoreUnavailable("broken", cause);
    const error = toAppError(failure, "");
    return error instanceof StoreUnavailable ? error : new StoreUnavailable("broken", error.cause);
  }

  /** Some failures are those of the session: another one would do. */
  #failed(error: AppError): AppError {
    if (!(error.cause instanceof DatabaseError) || !endsSession.has(error.cause.sqlState)) return error;
    const failure = error instanceof StoreUnavailable ? error : new StoreUnavailable("broken", error.cause);
    this.break(failure);
    return failure;
  }
}

/** The last byte of an answer. */
const transactionStates: ReadonlyMap<number, TransactionState> = new Map([
  ["I".charCodeAt(0), "none"],
  ["T".charCodeAt(0), "open"],
  ["E".charCodeAt(0), "failed"],
]);

const endsSession: ReadonlySet<string> = new Set([
  // Read-only: the primary is elsewhere now, and a new connection may find it.
  "25006",
  // The plan of a prepared statement does not fit the changed schema; the statement is gone; it is there already.
  ...["0A000", "26000", "42P05"],
]);
