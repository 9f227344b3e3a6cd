import { type AccountId, invalid, type Task } from "@sluice/core";
import { type ListTasksRequest, type ListTasksResponse, TaskOrder } from "@sluice/protocol";
import type { Store, TaskFilter } from "@sluice/store";
import { pageToken, parsePageToken } from "../wire/page-token.ts";
import { parseSelection, selectionParts } from "../wire/selection.ts";
import { toWireTask } from "../wire/task.ts";
import { checkInteger } from "../wire/text.ts";

const pageSizeMax = 500;
const pageSizeDefault = 20;
/** A page with payloads ends before it is too large for the usual limit of a client (4 MiB). */
const pageBytesMax = 3 * 1024 * 1024;
const pageSizeWithPayloadMax = 50;

/** A page of the account's tasks. */
export async function listTasks(
  store: Store,
  accountId: AccountId,
  request: ListTasksRequest,
): Promise<ListTasksResponse> {
  const { filter, fingerprint } = parseFilter(accountId, request);
  const position = parsePageToken(request.pageToken, fingerprint, ["number", "number"]);
  const rows = await store.tasks.list({
    ...filter,
    ...(position && { after: { enqueuedAt: position[0], seq: position[1] } }),
    // One more than the page holds says whether there is another page.
    limit: filter.limit + 1,
  });
  const page = fitting(rows.slice(0, filter.limit));
  const last = page.at(-1);
  const nextPageToken =
    last === undefined || page.length === rows.length ? "" : pageToken([last.enqueuedAt, last.seq], fingerprint);
  return { tasks: page.map(toWireTask), nextPageToken };
}

/** The filter, and everything that a page token is bound to. */
function parseFilter(
  accountId: AccountId,
  request: ListTasksRequest,
): { readonly filter: TaskFilter; readonly fingerprint: readonly unknown[] } {
  const selection = parseSelection(accountId, request, "");
  const order = parseOrder(request.order);
  const size = checkInteger(request.pageSize, {
    field: "page_size",
    reason: "INVALID_PAGE_SIZE",
    min: 0,
    max: pageSizeMax,
  });
  const limit = size === 0 ? pageSizeDefault : size;
  return {
    filter: {
      ...selection,
      order,
      includePayload: request.includePayload,
      limit: request.includePayload ? Math.min(limit, pageSizeWithPayloadMax) : limit,
    },
    fingerprint: ["tasks", ...selectionParts(selection), order],
  };
}

function parseOrder(order: number): "newest" | "oldest" {
  if (order === TaskOrder.UNSPECIFIED || order === TaskOrder.ENQUEUED_DESC) return "newest";
  if (order === TaskOrder.ENQUEUED_ASC) return "oldest";
  throw invalid("UNKNOWN_ORDER", "order", `there is no order ${order}; use 1 or 2`);
}

/** As many as fit into one message, at least one. */
function fitting(tasks: readonly Task[]): readonly Task[] {
  let bytes = 0;
  const end = tasks.findIndex((task, index) => {
    bytes += task.payload.length + task.result.length + (task.error?.body.length ?? 0);
    return index > 0 && bytes > pageBytesMax;
  });
  return end < 0 ? tasks : tasks.slice(0, end);
}
