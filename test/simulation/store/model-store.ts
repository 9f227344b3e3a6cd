// The store's contract in plain memory: a model of what the SQL says, fast enough for thousands of simulated minutes. Three
// tests hold it to the real one: the conformance suite, random operations on both, and the replay of a simulated run on both.
import type { Clock } from "@sluice/core";
import type { Store } from "@sluice/store";
import { accountRecords } from "./account-records.ts";
import { agentRecords } from "./agent-records.ts";
import { batchRecords } from "./batch-records.ts";
import { controlRecords } from "./control-records.ts";
import { functionRecords } from "./function-records.ts";
import { laneRecords } from "./lane-records.ts";
import { logRecords } from "./log-records.ts";
import { createTables, type Tables } from "./tables.ts";
import { taskRecords } from "./task-records.ts";

export interface ModelStoreOptions {
  /** The time authority. */
  readonly clock: Clock;
  /** What an earlier store left; default: nothing. */
  readonly tables?: Tables;
}

/** What the operations of the model work on. */
export interface Model {
  readonly tables: Tables;
  now(): number;
}

/**
 * A store whose every call is over before it returns its promise. Nothing is shared with callers: bytes and values are copied
 * on their way in and out.
 *
 * Where the contract leaves an order open, the SQL answers in the order in which its indexes and pages happen to hold the
 * rows, and the model in that of their numbers: rows of one priority that are due at the same moment in the same lane, and
 * rows that expire so while they are parked. Objects in `events`, `error` and `settings` keep the order of their keys, which
 * `jsonb` does not.
 */
export function createModelStore({ clock, tables = createTables() }: ModelStoreOptions): Store {
  const model: Model = { tables, now: () => clock.now() };
  return {
    tasks: taskRecords(model),
    lanes: laneRecords(model),
    control: controlRecords(model),
    batches: batchRecords(model),
    functions: functionRecords(model),
    accounts: accountRecords(model),
    agents: agentRecords(model),
    logs: logRecords(model),
    ping: async () => model.now(),
    async [Symbol.asyncDispose]() {},
  };
}
