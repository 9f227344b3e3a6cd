// What the tests of the conformance suite work on: one store on a clock that stands still until a test moves it.
import { AccountId, assert, type Clock, FunctionName, type OwnedPartition, type Seq, TaskId } from "@sluice/core";
import { FakeClock, fixtureStart } from "@sluice/core/testing";
import type { InsertOutcome, NewOperation, NewTask, SettleWrite, Store, TaskRow } from "../index.ts";
import type { SqlConnection } from "../sql.ts";
import { createSqlStore } from "../sql-store.ts";

export const account = AccountId("main");
export const functionName = FunctionName("echo");
export const flow = { accountId: account, functionName };
/** The owner of all lanes of queue `q`. */
export const owner: OwnedPartition = { queue: "q", prefix: "", epoch: 5 };

/** A database: what its stores wrote, each on a clock of its own. */
export interface StoreDatabase extends AsyncDisposable {
  storeOn(clock: Clock): Store;
  /** Forgets everything. */
  reset(): Promise<void>;
}

export class Subject {
  readonly #database: () => StoreDatabase;
  clock = new FakeClock();

  constructor(database: () => StoreDatabase) {
    this.#database = database;
  }

  /** On the test's clock. */
  get store(): Store {
    return this.#database().storeOn(this.clock);
  }

  async reset(): Promise<void> {
    this.clock = new FakeClock({ wallStart: fixtureStart });
    await this.#database().reset();
  }

  get now(): number {
    return this.clock.now();
  }

  passTime(ms: number): void {
    this.clock.jump(ms);
  }

  /** Takes over the whole queue `q`. */
  async own(): Promise<void> {
    assert(await this.store.lanes.raiseFloor(owner), "nobody else owns a lane");
  }

  async insert(...tasks: NewTask[]): Promise<Seq[]> {
    return (await this.store.tasks.insert(tasks)).map(seqOf);
  }

  async row(seq: Seq): Promise<TaskRow> {
    const rows = await this.store.lanes.read(owner, [seq]);
    assert(rows !== "stale", "the owner owns its lanes");
    const [row] = rows;
    assert(row !== undefined, "the row is there");
    return row;
  }
}

/** Where the database is one of SQL. */
export class SqlSubject extends Subject {
  readonly #sql: () => SqlConnection;

  constructor(sql: () => SqlConnection) {
    super(() => sqlDatabase(sql()));
    this.#sql = sql;
  }

  get sql(): SqlConnection {
    return this.#sql();
  }

  /** On the database's clock. */
  get storeOfDatabaseTime(): Store {
    return createSqlStore({ sql: this.sql });
  }
}

function sqlDatabase(sql: SqlConnection): StoreDatabase {
  return {
    storeOn: (clock) => createSqlStore({ sql, clock }),
    reset: () =>
      sql.exec(
        "truncate tasks, floors, functions, deleted_functions, code_packages, access_keys, accounts, agents, log_pieces, pauses, operations, operation_lanes restart identity",
      ),
    [Symbol.asyncDispose]: () => sql[Symbol.asyncDispose](),
  };
}

let lastId = 0;

export function aNewTask(overrides: Partial<NewTask> = {}): NewTask {
  return {
    ...flow,
    taskId: TaskId(`task-${++lastId}`),
    queue: "q",
    lane: 0,
    priority: 2,
    payload: new Uint8Array(),
    delayMs: 0,
    expiresAfterMs: 3_600_000,
    submissionToken: "",
    tags: [],
    ...overrides,
  };
}

export function seqOf(outcome: InsertOutcome): Seq {
  assert(outcome.kind === "inserted", `inserted, not ${outcome.kind}`);
  return outcome.seq;
}

export function aSettle(seq: Seq, overrides: Partial<SettleWrite> = {}): SettleWrite {
  return {
    kind: "settle",
    seq,
    attempt: 1,
    lane: 0,
    status: "Succeeded",
    result: new Uint8Array(),
    error: undefined,
    startedAt: undefined,
    agentId: undefined,
    instanceId: undefined,
    events: [],
    ...overrides,
  };
}

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export function anOperation(overrides: Partial<NewOperation> = {}): NewOperation {
  return { operationId: "op", kind: "stop", filter: { accountId: account }, createdBy: account, ...overrides };
}
