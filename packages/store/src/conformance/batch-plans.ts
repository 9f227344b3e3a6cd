// The indexes of batch control: what owners write in bulk, and how they find it.
import { FunctionName } from "@sluice/core";
import type { OperationRecord } from "../batch.ts";
import {
  closeLanesStatement,
  collectDeletedStatement,
  collectStoppedStatement,
  deleteTasksStatement,
  markTasksStatement,
  resumeTasksStatement,
  stopTasksStatement,
} from "../batches.ts";
import { atWorkStatement, openOperationsStatement } from "../control.ts";
import type { TaskSelection } from "../index.ts";
import { finishStatement, reopenQuery } from "../left-over.ts";
import { matchingQuery } from "../matching.ts";
import { account, owner } from "./subject.ts";

const written = ["floors_pkey", "tasks_seq"];

export const batchStatements = [
  { statement: stopTasksStatement, indexes: written },
  { statement: deleteTasksStatement, indexes: ["floors_pkey", "log_pieces_pkey", "tasks_seq"] },
  { statement: markTasksStatement, indexes: written },
  { statement: collectStoppedStatement, indexes: ["floors_pkey", "tasks_operation", "tasks_seq"] },
  { statement: collectDeletedStatement, indexes: ["floors_pkey", "log_pieces_pkey", "tasks_operation", "tasks_seq"] },
  { statement: closeLanesStatement, indexes: ["floors_pkey", "tasks_operation"] },
  { statement: resumeTasksStatement, indexes: ["floors_pkey", "tasks_parked", "tasks_seq"] },
  {
    statement: finishStatement,
    indexes: ["operation_lanes_pkey", "operations_operation_number_key", "tasks_operation"],
  },
  { statement: openOperationsStatement, indexes: ["operation_lanes_pkey", "operations_open"] },
  { statement: atWorkStatement },
];

const functionName = FunctionName("echo");

/** Walks of operations with these filters, and the index of each. */
export const batchWalks = [
  walk("everything", "delete", {}, "tasks_account_time"),
  walk("a function", "delete", { functionName }, "tasks_function_time"),
  walk("a status", "delete", { status: "Failed" }, "tasks_status"),
  walk("succeeded", "delete", { functionName, status: "Succeeded" }, "tasks_function_time"),
  walk("a tag", "delete", { tag: "blue", priority: 1, taskIdPrefix: "a" }, "tasks_account_time"),
  walk("what waits", "stop", { functionName, status: "Enqueued" }, "tasks_status"),
  left("everything", "delete", {}, ["operations_operation_number_key", "tasks_account_time"]),
  left("a function", "delete", { functionName, tag: "blue" }, [
    "operations_operation_number_key",
    "tasks_function_time",
  ]),
  left("what is open", "stop", { functionName }, ["operations_operation_number_key", "tasks_status"]),
];

function walk(title: string, kind: "stop" | "delete", filter: Omit<TaskSelection, "accountId">, index: string) {
  const operation = anOperation(kind, filter);
  const options = { status: operation.filter.status, after: { enqueuedAt: 1, seq: 1 }, limit: 10 };
  const { statement } = matchingQuery(owner, operation, options);
  return { title: `${title}, to ${kind}`, statement, indexes: [index] };
}

function left(title: string, kind: "stop" | "delete", filter: Omit<TaskSelection, "accountId">, indexes: string[]) {
  const { statement } = reopenQuery(anOperation(kind, filter), { after: { enqueuedAt: 1, seq: 1 }, limit: 10 });
  return { title: `${title}, left to ${kind}`, statement, indexes };
}

function anOperation(kind: "stop" | "delete", filter: Omit<TaskSelection, "accountId">): OperationRecord {
  return {
    ...{ operationId: "op", number: 1, kind, filter: { accountId: account, ...filter }, createdBy: account },
    ...{ createdAt: 1, cancelledAt: undefined, finishedAt: undefined },
  };
}
