// Which tasks a list, a pause or an operation is about, between the wire and the store.
import { type AccountId, FunctionName, invalid } from "@sluice/core";
import type { TaskSelection } from "@sluice/store";
import { parsePriorityFilter, parseStatus } from "./task.ts";
import { checkInteger, checkTag } from "./text.ts";

/** The filters as requests carry them; empty and 0: no filter. */
export interface WireSelection {
  readonly function: string;
  readonly status: number;
  readonly enqueuedFromMs: number;
  readonly enqueuedUntilMs: number;
  readonly taskIdPrefix: string;
  readonly tag: string;
  readonly priority: number;
}

const timeMax = 8_640_000_000_000_000;

/** `path`: before the names of fields, such as `filter.`. */
export function parseSelection(accountId: AccountId, wire: WireSelection, path: string): TaskSelection {
  const functionName = wire.function === "" ? undefined : FunctionName(wire.function, `${path}function`);
  const status = parseStatus(wire.status, `${path}status`);
  const from = parseTime(wire.enqueuedFromMs, `${path}enqueued_from_ms`);
  const until = parseTime(wire.enqueuedUntilMs, `${path}enqueued_until_ms`);
  const prefix = wire.taskIdPrefix;
  if (!/^[A-Za-z0-9_-]{0,128}$/.test(prefix)) {
    throw invalid(
      "INVALID_TASK_ID",
      `${path}task_id_prefix`,
      "a task id has letters, digits, `_` or `-`, at most 128 characters",
    );
  }
  const priority = parsePriorityFilter(wire.priority, `${path}priority`);
  return {
    accountId,
    ...(functionName !== undefined && { functionName }),
    ...(status !== undefined && { status }),
    ...(from !== 0 && { enqueuedFrom: from }),
    ...(until !== 0 && { enqueuedUntil: until }),
    ...(prefix !== "" && { taskIdPrefix: prefix }),
    ...(priority !== undefined && { priority }),
    ...(wire.tag !== "" && { tag: checkTag(wire.tag, `${path}tag`) }),
  };
}

/** The same for equal selections. */
export function selectionParts(selection: TaskSelection): readonly (string | number)[] {
  const { accountId, functionName, status, enqueuedFrom, enqueuedUntil, taskIdPrefix, priority, tag } = selection;
  return [
    ...[accountId, functionName ?? "", status ?? "", enqueuedFrom ?? 0, enqueuedUntil ?? 0],
    ...[taskIdPrefix ?? "", priority ?? -1, tag ?? ""],
  ];
}

function parseTime(time: number, field: string): number {
  return checkInteger(time, { field, reason: "INVALID_TIME", min: 0, max: timeMax });
}
