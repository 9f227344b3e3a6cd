// What is paused and what operations are about, between the wire and the store.
import { createHash } from "node:crypto";
import { type AccountId, FunctionName, invalid, isFinal } from "@sluice/core";
import {
  type ActivePause,
  type Operation,
  OperationState,
  PauseHolder,
  type TaskSelector,
  OperationKind as WireKind,
  type PauseTarget as WireTarget,
} from "@sluice/protocol";
import type { OperationKind, OperationProgress, PauseRecord, PauseTarget, TaskSelection } from "@sluice/store";
import { parseSelection, selectionParts } from "../wire/selection.ts";
import { priorityOnWire, statusOnWire } from "../wire/task.ts";
import { type Holder, holderOf } from "./access.ts";

/** Throws `MISSING_TARGET`, or what is wrong with it. `accountId`: whose it is, unless it is a queue. */
export function parseTarget({ target }: WireTarget, accountId: AccountId): PauseTarget {
  switch (target?.$case) {
    case "function":
      return { kind: "function", accountId, functionName: FunctionName(target.value, "target.function") };
    case "account":
      return { kind: "account", accountId };
    case "queue":
      if (/^[A-Za-z0-9_-]{1,64}$/.test(target.value)) return { kind: "queue", queue: target.value };
      throw invalid("INVALID_QUEUE", "target.queue", "a queue has a name of letters, digits, `_` or `-`, such as q0");
    case "tasks":
      return { kind: "tasks", filter: waitingSelection(parseSelection(accountId, target.value, "target.tasks.")) };
    case undefined:
      throw invalid("MISSING_TARGET", "target", "name a function, the account, a queue, or a filter");
  }
}

/** What runs goes on, and what has ended does not wait. */
function waitingSelection(selection: TaskSelection): TaskSelection {
  const { status } = selection;
  if (status === undefined || status === "Enqueued" || status === "Retrying") return selection;
  throw invalid("INVALID_FILTER", "target.tasks.status", "only tasks that are ENQUEUED or RETRYING can be paused");
}

/**
 * The same for equal targets: one pause of the account and one of the operators each. A queue has only one, whose id is as it
 * was before there were two.
 */
export function pauseIdOf(target: PauseTarget, holder: Holder): string {
  const ofOperators = holder === "operators" && target.kind !== "queue" ? ["of operators"] : [];
  const text = JSON.stringify([target.kind, ...partsOf(target), ...ofOperators]);
  return `p-${createHash("sha256").update(text).digest("hex").slice(0, 24)}`;
}

function partsOf(target: PauseTarget): readonly (string | number)[] {
  switch (target.kind) {
    case "function":
      return [target.accountId, target.functionName];
    case "account":
      return [target.accountId];
    case "queue":
      return [target.queue];
    case "tasks":
      return selectionParts(target.filter);
  }
}

/** Undefined: a queue's. */
export function accountOf(target: PauseTarget): AccountId | undefined {
  if (target.kind === "queue") return undefined;
  return target.kind === "tasks" ? target.filter.accountId : target.accountId;
}

export function toWirePause({ pauseId, target, reason, createdBy, createdAt }: PauseRecord): ActivePause {
  const holder = holderOf(accountOf(target), createdBy);
  const heldBy = holder === "account" ? PauseHolder.ACCOUNT : PauseHolder.OPERATORS;
  return { pauseId, target: toWireTarget(target), reason, createdBy, createdAtMs: createdAt, heldBy };
}

function toWireTarget(target: PauseTarget): WireTarget {
  const accountId = accountOf(target) ?? "";
  switch (target.kind) {
    case "function":
      return { target: { $case: "function", value: target.functionName }, accountId };
    case "account":
      return { target: { $case: "account", value: {} }, accountId };
    case "queue":
      return { target: { $case: "queue", value: target.queue }, accountId };
    case "tasks":
      return { target: { $case: "tasks", value: toWireSelector(target.filter) }, accountId };
  }
}

function toWireSelector(selection: TaskSelection): TaskSelector {
  const { functionName, status, taskIdPrefix, enqueuedFrom, enqueuedUntil, tag, priority } = selection;
  return {
    function: functionName ?? "",
    status: status === undefined ? 0 : statusOnWire(status),
    taskIdPrefix: taskIdPrefix ?? "",
    enqueuedFromMs: enqueuedFrom ?? 0,
    enqueuedUntilMs: enqueuedUntil ?? 0,
    tag: tag ?? "",
    priority: priority === undefined ? 0 : priorityOnWire(priority),
  };
}

/** Throws `UNKNOWN_OPERATION` and `INVALID_FILTER`. */
export function parseKind(kind: number, { status }: TaskSelection): OperationKind {
  if (kind === WireKind.DELETE) return "delete";
  if (kind !== WireKind.STOP) throw invalid("UNKNOWN_OPERATION", "kind", `there is no operation ${kind}; use 1 or 2`);
  if (status === undefined || !isFinal(status)) return "stop";
  throw invalid(
    "INVALID_FILTER",
    "filter.status",
    "tasks with this status have ended; delete them, or choose another one",
  );
}

export function toWireOperation(operation: OperationProgress): Operation {
  const { operationId, kind, filter, createdBy, createdAt, finishedAt, cancelledAt } = operation;
  const { matched, done, failed, lanesDone, lanesTotal } = operation;
  const ended = cancelledAt === undefined ? OperationState.RUNNING : OperationState.CANCELLED;
  return {
    operationId,
    kind: kind === "stop" ? WireKind.STOP : WireKind.DELETE,
    filter: toWireSelector(filter),
    accountId: filter.accountId,
    state: finishedAt === undefined ? ended : OperationState.DONE,
    ...{ matched, done, failed, lanesDone, lanesTotal },
    createdAtMs: createdAt,
    endedAtMs: finishedAt ?? cancelledAt ?? 0,
    createdBy,
  };
}
