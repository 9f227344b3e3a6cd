import type { Clock } from "@sluice/core";
import { accountRecords } from "./accounts.ts";
import { agentRecords } from "./agents.ts";
import { batchRecords } from "./batches.ts";
import { controlRecords } from "./control.ts";
import { expire, expired } from "./expire.ts";
import { allFloors, floors, raiseFloor } from "./floors.ts";
import { functionRecords } from "./functions.ts";
import type { LaneRecords, Store, TaskRecords } from "./index.ts";
import { insert } from "./insert.ts";
import { list } from "./list.ts";
import { logRecords } from "./logs.ts";
import { marked } from "./marked.ts";
import { movable, queuesInUse } from "./of-flow.ts";
import { overflowFlows, parkOverflow, unparkOverflow } from "./overflow.ts";
import { purge } from "./purge.ts";
import { read } from "./read.ts";
import { nowSql, type SqlConnection, statement } from "./sql.ts";
import { sweep, touch, waiting } from "./sweep.ts";
import { countWaiting, get, known, requestStop, settled } from "./tasks.ts";
import { dueIn, unpark } from "./unpark.ts";
import { write } from "./write.ts";

/** What every operation of the store gets. */
export interface Database {
  readonly sql: SqlConnection;
  /** The injected clock's time; null: the database's clock decides (`nowSql`). */
  now(): number | null;
}

/** The one implementation of the store, over any connection with the migrated schema. Closes the connection with it. */
export function createSqlStore(options: { readonly sql: SqlConnection; readonly clock?: Clock }): Store {
  const { sql, clock } = options;
  const database: Database = { sql, now: () => clock?.now() ?? null };
  return {
    tasks: taskRecords(database),
    lanes: laneRecords(database),
    control: controlRecords(database),
    batches: batchRecords(database),
    functions: functionRecords(database),
    accounts: accountRecords(database),
    agents: agentRecords(database),
    logs: logRecords(database),
    async ping() {
      const [answer] = await sql.query<{ now: number }>(pingStatement, [database.now()]);
      if (answer === undefined) throw new Error("the store does not tell its time");
      return Number(answer.now);
    },
    [Symbol.asyncDispose]: () => sql[Symbol.asyncDispose](),
  };
}

const pingStatement = statement("ping", `select ${nowSql("$1")} as now`);

function taskRecords(database: Database): TaskRecords {
  return {
    insert: (tasks) => insert(database, tasks),
    get: (key) => get(database, key),
    list: (filter) => list(database, filter),
    requestStop: (key) => requestStop(database, key),
    known: (keys) => known(database, keys),
    settled: (attempts) => settled(database, attempts),
    countWaiting: (accountId, limit) => countWaiting(database, accountId, limit),
  };
}

function laneRecords(database: Database): LaneRecords {
  return {
    floors: (queue) => floors(database, queue),
    allFloors: () => allFloors(database),
    raiseFloor: (owner) => raiseFloor(database, owner),
    read: (owner, seqs) => read(database, owner, seqs),
    write: (owner, writes) => write(database, owner, writes),
    unpark: (owner, limit, except) => unpark(database, owner, { limit, except }),
    dueIn: (owner, withinMs) => dueIn(database, owner, withinMs),
    parkOverflow: (owner, seqs, options) => parkOverflow(database, owner, seqs, options),
    unparkOverflow: (owner, flow, limit) => unparkOverflow(database, owner, flow, limit),
    overflowFlows: (owner, options) => overflowFlows(database, owner, options),
    expired: (owner, options) => expired(database, owner, options),
    expire: (owner, seqs, options) => expire(database, owner, seqs, options),
    sweep: (owner, options) => sweep(database, owner, options),
    touch: (owner, seqs) => touch(database, owner, seqs),
    marked: (owner, limit) => marked(database, owner, limit),
    waiting: (queue, options) => waiting(database, queue, options),
    movable: (owner, options) => movable(database, owner, options),
    queuesInUse: () => queuesInUse(database),
    purge: (owner, options) => purge(database, owner, options),
  };
}
