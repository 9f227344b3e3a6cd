// The plans of the statements on a task's path. They must not depend on statistics: a database is empty when its statements
// are planned first, and PGlite never gathers any by itself.
import { FunctionName, TaskId } from "@sluice/core";
import { expect, test } from "vitest";
import { readAccountsStatement } from "../accounts.ts";
import { agentsStatements } from "../agents.ts";
import { startStatement } from "../control.ts";
import { expiredStatement, expireStatement } from "../expire.ts";
import { raiseFloorStatement } from "../floors.ts";
import { reservedStatement } from "../functions.ts";
import type { TaskFilter } from "../index.ts";
import { existingStatement, insertStatement } from "../insert.ts";
import { listQuery } from "../list.ts";
import { appendStatement, readLogStatement } from "../logs.ts";
import { markedStatement } from "../marked.ts";
import { movableStatement, queuesInUseStatement } from "../of-flow.ts";
import { overflowFlowsStatement, parkOverflowStatement, unparkOverflowStatement } from "../overflow.ts";
import { purgeStatement } from "../purge.ts";
import { readStatement } from "../read.ts";
import { type Statement, statement } from "../sql.ts";
import { sweepStatement, touchStatement, waitingStatement } from "../sweep.ts";
import {
  countWaitingStatement,
  getStatement,
  knownStatement,
  requestStopStatement,
  settledStatement,
} from "../tasks.ts";
import { dueInStatement, unparkStatement } from "../unpark.ts";
import { writeStatement } from "../write.ts";
import { batchStatements, batchWalks } from "./batch-plans.ts";
import { account, aNewTask, aSettle, owner, type SqlSubject } from "./subject.ts";

/** Each hot statement, and the indexes that it uses; undefined: any. */
const expected: readonly { readonly statement: Statement; readonly indexes?: readonly string[] }[] = [
  { statement: insertStatement, indexes: ["floors_pkey"] },
  { statement: existingStatement, indexes: ["tasks_pkey"] },
  { statement: getStatement, indexes: ["tasks_pkey"] },
  { statement: knownStatement, indexes: ["tasks_pkey"] },
  { statement: requestStopStatement, indexes: ["tasks_pkey", "tasks_seq"] },
  { statement: settledStatement, indexes: ["tasks_seq"] },
  { statement: countWaitingStatement, indexes: ["tasks_status"] },
  { statement: raiseFloorStatement, indexes: [] },
  { statement: readStatement, indexes: ["floors_pkey", "tasks_seq"] },
  { statement: writeStatement, indexes: ["floors_pkey", "tasks_seq"] },
  { statement: unparkStatement, indexes: ["floors_pkey", "tasks_parked", "tasks_seq"] },
  { statement: dueInStatement, indexes: ["tasks_parked"] },
  { statement: sweepStatement, indexes: ["floors_pkey", "tasks_waiting"] },
  { statement: touchStatement, indexes: ["floors_pkey", "tasks_seq"] },
  { statement: waitingStatement, indexes: ["tasks_waiting"] },
  { statement: markedStatement, indexes: ["floors_pkey", "tasks_parked_expiry", "tasks_stop_requested"] },
  { statement: parkOverflowStatement, indexes: ["floors_pkey", "tasks_seq"] },
  { statement: unparkOverflowStatement, indexes: ["floors_pkey", "tasks_overflow", "tasks_seq"] },
  { statement: overflowFlowsStatement, indexes: ["floors_pkey", "tasks_overflow"] },
  { statement: expiredStatement, indexes: ["floors_pkey", "tasks_parked_expiry", "tasks_waiting"] },
  { statement: expireStatement, indexes: ["floors_pkey", "tasks_seq"] },
  { statement: movableStatement, indexes: ["floors_pkey", "tasks_status"] },
  { statement: purgeStatement, indexes: ["floors_pkey", "log_pieces_pkey", "tasks_ended", "tasks_seq"] },
  { statement: appendStatement, indexes: ["log_pieces_pkey"] },
  { statement: readLogStatement, indexes: ["log_pieces_pkey"] },
  { statement: readAccountsStatement, indexes: ["accounts_pkey"] },
  { statement: reservedStatement, indexes: ["functions_reserved"] },
  ...batchStatements,
  { statement: agentsStatements.renew },
  { statement: agentsStatements.list, indexes: ["agents_alive"] },
];

const filter: TaskFilter = { accountId: account, order: "newest", limit: 50, includePayload: false };
const functionName = FunctionName("echo");
const lists: readonly {
  readonly title: string;
  readonly filter: TaskFilter;
  readonly rare?: true;
  readonly index: string;
}[] = [
  { title: "newest", filter, index: "tasks_account_time" },
  { title: "oldest", filter: { ...filter, order: "oldest" }, index: "tasks_account_time" },
  { title: "a page", filter: { ...filter, after: { enqueuedAt: 1, seq: 1 } }, index: "tasks_account_time" },
  { title: "a window", filter: { ...filter, enqueuedFrom: 1, enqueuedUntil: 2 }, index: "tasks_account_time" },
  { title: "a function", filter: { ...filter, functionName }, index: "tasks_function_time" },
  { title: "succeeded", filter: { ...filter, functionName, status: "Succeeded" }, index: "tasks_function_time" },
  { title: "running", filter: { ...filter, status: "Running" }, index: "tasks_status" },
  { title: "stopping", filter: { ...filter, status: "Stopping" }, index: "tasks_status" },
  { title: "failed", filter: { ...filter, status: "Failed" }, index: "tasks_status" },
  { title: "a rare prefix", filter: { ...filter, taskIdPrefix: "a" }, rare: true, index: "tasks_pkey" },
  {
    title: "a rare prefix of a function",
    filter: { ...filter, functionName, taskIdPrefix: "a" },
    rare: true,
    index: "tasks_pkey",
  },
  { title: "a common prefix", filter: { ...filter, taskIdPrefix: "a" }, index: "tasks_account_time" },
];

export function describePlans(subject: SqlSubject): void {
  test("every hot statement uses its indexes and scans nothing, whatever the statistics say", async () => {
    await inEveryState(subject, async (state) => {
      for (const { statement, indexes } of expected) {
        const plan = await explain(subject, statement);
        expect(scans(plan), `${statement.name} ${state}:\n${plan}`).toEqual([]);
        if (indexes !== undefined) expect(indexesOf(plan), `${statement.name} ${state}:\n${plan}`).toEqual(indexes);
      }
    });
  });

  test("queues in use are found by their first rows, whatever the statistics say", async () => {
    await inEveryState(subject, async (state) => {
      const plan = await explain(subject, queuesInUseStatement);
      expect(scans(plan), `${state}:\n${plan}`).toEqual([]);
      expect(indexesOf(plan), `${state}:\n${plan}`).toEqual([
        "operation_lanes_pkey",
        "operations_open",
        "tasks_parked",
        "tasks_waiting",
      ]);
    });
  });

  test("the queues of a new operation are found by their first rows, whatever the statistics say", async () => {
    await inEveryState(subject, async (state) => {
      const plan = await explain(subject, startStatement);
      expect(plan, state).not.toContain("Seq Scan on tasks");
      const indexes = ["tasks_ended", "tasks_parked", "tasks_waiting"];
      expect(indexesOf(plan), `${state}:\n${plan}`).toEqual(expect.arrayContaining(indexes));
    });
  });

  test("every operation finds its tasks along an index, whatever the statistics say", async () => {
    await inEveryState(subject, async (state) => {
      for (const { title, statement, indexes } of batchWalks) {
        const plan = await explain(subject, statement);
        expect(scans(plan), `${title} ${state}:\n${plan}`).toEqual([]);
        expect(indexesOf(plan), `${title} ${state}:\n${plan}`).toEqual(indexes);
      }
    });
  });

  test("every list walks an index in its order, whatever the statistics say", async () => {
    await inEveryState(subject, async (state) => {
      for (const { title, filter, rare, index } of lists) {
        const plan = await explain(subject, listQuery(filter, { collectByPrefix: rare === true }).statement);
        expect(scans(plan), `${title} ${state}:\n${plan}`).toEqual([]);
        expect(indexesOf(plan), `${title} ${state}:\n${plan}`).toContain(index);
        if (rare !== true) expect(plan, `${title} ${state}`).not.toContain("Sort");
      }
    });
  });
}

/** Empty; grown without statistics; with fresh ones; and with stale ones that say the opposite of what is there. */
async function inEveryState(subject: SqlSubject, check: (state: string) => Promise<void>): Promise<void> {
  await check("while the table is empty");
  await subject.own();
  await fill(subject, 3_000);
  await check("after it has grown without statistics");
  await subject.sql.exec("analyze tasks, floors, agents, log_pieces");
  await check("with fresh statistics");
  await subject.reset();
  await subject.own();
  await fill(subject, 5);
  await subject.sql.exec("analyze tasks, floors, agents, log_pieces");
  await fill(subject, 6_000);
  await check("with statistics from when it was tiny");
  await settleAll(subject);
  await check("with all rows settled since");
  await subject.sql.exec("analyze tasks, floors, agents, log_pieces");
  await check("with statistics that know of finished tasks only");
}

async function fill(subject: SqlSubject, count: number): Promise<void> {
  const parked = { delayMs: 60_000 };
  const tasks = Array.from({ length: count }, (_, at) =>
    aNewTask({ taskId: TaskId(`a${at}-${count}`), lane: at % 32, ...(at % 10 === 0 && parked) }),
  );
  await subject.store.tasks.insert(tasks);
}

async function settleAll(subject: SqlSubject): Promise<void> {
  for (;;) {
    const { announcements } = await subject.store.lanes.waiting("q", { after: undefined, limit: 2_000 });
    if (announcements.length === 0) return;
    await subject.store.lanes.write(
      owner,
      announcements.map(({ seq, lane }) => aSettle(seq, { lane })),
    );
  }
}

/** The plan that a prepared statement gets now. */
async function explain(subject: SqlSubject, { text }: Statement): Promise<string> {
  const count = Math.max(0, ...[...text.matchAll(/\$(\d+)/g)].map(([, digits]) => Number(digits)));
  const nulls = count === 0 ? "" : `(${new Array(count).fill("null").join(", ")})`;
  return await subject.sql.transaction(async (sql) => {
    await sql.query(statement("", `prepare explained as ${text}`));
    const rows = await sql.query<{ "QUERY PLAN": string }>(
      statement("", `explain (costs off) execute explained${nulls}`),
    );
    await sql.query(statement("", "deallocate explained"));
    return rows.map((row) => row["QUERY PLAN"]).join("\n");
  });
}

function scans(plan: string): string[] {
  return plan.split("\n").filter((line) => /Seq Scan|Bitmap|Hash Join|Merge Join/.test(line));
}

function indexesOf(plan: string): string[] {
  const found = [...plan.matchAll(/Index (?:Only )?Scan (?:Backward )?using (\w+)/g)].map(([, name]) => name ?? "");
  return [...new Set(found)].sort();
}
