import { createHash } from "node:crypto";
import {
  type AccountId,
  AppError,
  type Flow,
  FunctionName,
  invalid,
  type Lane,
  type Route,
  TaskId,
} from "@sluice/core";
import type { TaskSubmission } from "@sluice/protocol";
import type { FunctionRecord, FunctionSettings, NewTask } from "@sluice/store";
import type { ApiServerConfig } from "../config.ts";
import { parsePriority } from "../wire/task.ts";
import { checkInteger, checkTag, checkText } from "../wire/text.ts";

/** A submission that was admitted. */
export interface Draft extends Omit<NewTask, "lane"> {
  /** Undefined: the group commit that records it chooses one. */
  readonly lane: Lane | undefined;
}

export interface SubmissionContext {
  readonly accountId: AccountId;
  /** Those of the message's functions that exist. */
  readonly functions: ReadonlyMap<FunctionName, FunctionRecord>;
  readonly config: Pick<ApiServerConfig, "payloadBytesMax" | "delayMsMax" | "expiresAfterMsMax">;
  readonly routeOf: (flow: Flow, settings: FunctionSettings) => Route;
  /** Makes a task id that nobody has. */
  readonly newTaskId: () => TaskId;
}

const tokenLengthMax = 128;
const tagsMax = 8;

/** The draft of a submission; `path` is its place in the request, such as `tasks[3]`. Throws what is wrong with it. */
export function parseSubmission(task: TaskSubmission, path: string, context: SubmissionContext): Draft {
  const { accountId, config } = context;
  const functionName = FunctionName(task.function, `${path}.function`);
  const found = context.functions.get(functionName);
  if (found === undefined) {
    throw new AppError("not_found", "FUNCTION_NOT_FOUND", `there is no function ${functionName}; create it first`, {
      field: `${path}.function`,
    });
  }
  const submissionToken = checkText(task.submissionToken, `${path}.submission_token`, tokenLengthMax);
  const taskId = parseTaskId(task, path, { ...context, functionName });
  if (task.payload.length > config.payloadBytesMax) {
    throw invalid(
      "PAYLOAD_TOO_LARGE",
      `${path}.payload`,
      `the payload has ${task.payload.length} bytes, at most ${config.payloadBytesMax} are accepted; pass a reference to it`,
    );
  }
  const delayMs = checkInteger(task.delayMs, {
    field: `${path}.delay_ms`,
    reason: "INVALID_DELAY",
    min: 0,
    max: config.delayMsMax,
  });
  const expiresAfterMs = checkInteger(task.expiresAfterMs, {
    field: `${path}.expires_after_ms`,
    reason: "INVALID_EXPIRY",
    min: 0,
    max: config.expiresAfterMsMax,
  });
  return {
    accountId,
    functionName,
    taskId,
    ...context.routeOf({ accountId, functionName }, found.settings),
    priority: parsePriority(task.priority, `${path}.priority`),
    payload: task.payload,
    delayMs,
    expiresAfterMs: expiresAfterMs === 0 ? found.settings.maxAsyncEventAgeInSeconds * 1_000 : expiresAfterMs,
    submissionToken,
    tags: parseTags(task.tags, `${path}.tags`),
  };
}

/** In their order, without repeats. Throws `TOO_MANY_TAGS` or `INVALID_TAG`. */
function parseTags(tags: readonly string[], field: string): readonly string[] {
  if (tags.length === 0) return tags;
  if (tags.length > tagsMax) throw invalid("TOO_MANY_TAGS", field, `at most ${tagsMax} tags are accepted`);
  return [...new Set(tags.map((tag, index) => checkTag(tag, `${field}[${index}]`)))];
}

/**
 * A submission without an id but with a token gets the id that follows from the token: repeated after an unknown outcome, it
 * meets its first try instead of running twice.
 */
function parseTaskId(
  task: TaskSubmission,
  path: string,
  context: SubmissionContext & { readonly functionName: FunctionName },
): TaskId {
  if (task.taskId !== "") return TaskId(task.taskId, `${path}.task_id`);
  if (task.submissionToken === "") return context.newTaskId();
  const text = JSON.stringify([context.accountId, context.functionName, task.submissionToken]);
  return TaskId(`t${createHash("sha256").update(text).digest("hex").slice(0, 32)}`);
}
