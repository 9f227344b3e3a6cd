// Tasks and their lists as Function Compute's AsyncTask has them. Times are milliseconds since the epoch; `endTime` is 0 until the end.
import { type AccountId, invalid, type TaskStatus, taskStatuses } from "@sluice/core";
import { ListTasksRequest, TaskOrder, type Task as WireTask } from "@sluice/protocol";
import { parseStatus, statusOnWire } from "../wire/task.ts";
import { wholeNumber } from "./whole-number.ts";

type Query = Readonly<Record<string, string | undefined>>;

/** Of the service's regions; there is one. */
const region = "local";
/** Of a `Date`. */
const timeMax = 8_640_000_000_000_000 - 1;
const limit = { default: 20, max: 100 };

export function toAsyncTask(accountId: AccountId, task: WireTask) {
  const { startedAtMs, endedAtMs } = task;
  return {
    taskId: task.taskId,
    functionArn: `acs:fc:${region}:${accountId}:functions/${task.function}`,
    qualifier: "LATEST",
    status: parseStatus(task.status, "status"),
    startedTime: task.enqueuedAtMs,
    endTime: endedAtMs,
    durationMs: startedAtMs > 0 && endedAtMs > startedAtMs ? endedAtMs - startedAtMs : 0,
    alreadyRetriedTimes: task.retries,
    instanceId: task.instanceId,
    taskPayload: task.payload.toString("utf8"),
    returnPayload: task.result.toString("utf8"),
    taskErrorMessage: task.error?.type ?? "",
    events: task.events.map(({ eventId, status, timeMs, detail }) => ({
      eventId,
      status,
      timestamp: timeMs,
      eventDetail: detail,
    })),
  };
}

/** Undefined: nothing can fit, and nothing is wrong with the question. Throws `UNKNOWN_STATUS`, `UNKNOWN_ORDER` or `INVALID_…`. */
export function parseList(functionName: string, query: Query): ListTasksRequest | undefined {
  const status = parseStatusName(query["status"]);
  const until = parseMs(query, "startedTimeEnd");
  const list = ListTasksRequest.fromPartial({
    function: functionName,
    ...(status !== undefined && status !== "Dequeued" && { status: statusOnWire(status) }),
    enqueuedFromMs: parseMs(query, "startedTimeBegin") ?? 0,
    // Ours is the first moment that is too late; 0 is no bound.
    enqueuedUntilMs: until === undefined ? 0 : until + 1,
    taskIdPrefix: query["prefix"] ?? "",
    order: parseOrder(query["sortOrderByTime"]),
    pageSize: parseLimit(query["limit"]),
    pageToken: query["nextToken"] ?? "",
    includePayload: query["includePayload"] === "true",
  });
  return status === "Dequeued" ? undefined : list;
}

/** `Dequeued` is a step, in which no task stays. */
function parseStatusName(name: string | undefined): TaskStatus | "Dequeued" | undefined {
  if (name === undefined || name === "") return undefined;
  const found = ([...taskStatuses, "Dequeued"] as const).find((status) => status === name);
  if (found !== undefined) return found;
  throw invalid("UNKNOWN_STATUS", "status", `there is no status ${name}; use one of ${taskStatuses.join(", ")}`);
}

function parseOrder(order: string | undefined): TaskOrder {
  if (order === undefined || order === "" || order === "desc") return TaskOrder.ENQUEUED_DESC;
  if (order === "asc") return TaskOrder.ENQUEUED_ASC;
  throw invalid("UNKNOWN_ORDER", "sortOrderByTime", `there is no order ${order}; use asc or desc`);
}

function parseLimit(text: string | undefined): number {
  if (text === undefined || text === "") return limit.default;
  return wholeNumber(text, { field: "limit", reason: "INVALID_PAGE_SIZE", min: 1, max: limit.max });
}

function parseMs(query: Query, field: "startedTimeBegin" | "startedTimeEnd"): number | undefined {
  const text = query[field];
  if (text === undefined || text === "") return undefined;
  return wholeNumber(text, { field, reason: "INVALID_TIME", min: 0, max: timeMax });
}
