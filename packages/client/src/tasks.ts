// Reading tasks, waiting for them and stopping them.
import { TaskOrder } from "@sluice/protocol";
import { type CallOptions, type Connection, repeat } from "./connection.ts";
import { toSluiceError, Unavailable, WaitTimedOut } from "./errors.ts";
import { createPatience } from "./retry.ts";
import { isFinal, type LogChunk, type Task, type TaskFilter, type TaskPage } from "./types.ts";
import { logChunkFromWire, selectionToWire, taskFromWire } from "./wire.ts";

/** Names a task. */
export interface TaskRef {
  readonly function: string;
  readonly taskId: string;
}

export interface PageOptions extends CallOptions {
  /** From the page before; the filter must be the same. */
  readonly pageToken?: string | undefined;
}
export interface WaitOptions extends CallOptions {
  /** Milliseconds; default: no limit. */
  readonly timeoutMs?: number;
}
export interface LogOptions extends CallOptions {
  /** From 1; default: the latest. */
  readonly attempt?: number;
  /** Whether to go on until the attempt ends. */
  readonly follow?: boolean;
}

export async function getTask(connection: Connection, ref: TaskRef, options: CallOptions): Promise<Task> {
  return taskFromWire(await repeat(connection, options, (context) => connection.tasks.getTask({ ...ref }, context)));
}

export async function stopTask(connection: Connection, ref: TaskRef, options: CallOptions): Promise<Task> {
  return taskFromWire(await repeat(connection, options, (context) => connection.tasks.stopTask({ ...ref }, context)));
}

export async function listPage(connection: Connection, filter: TaskFilter, options: PageOptions): Promise<TaskPage> {
  const request = {
    ...selectionToWire(filter),
    order: filter.order === "oldest first" ? TaskOrder.ENQUEUED_ASC : TaskOrder.ENQUEUED_DESC,
    pageSize: filter.pageSize ?? 0,
    pageToken: options.pageToken ?? "",
    includePayload: filter.includePayload ?? false,
  };
  const page = await repeat(connection, options, (context) => connection.tasks.listTasks(request, context));
  return { tasks: page.tasks.map(taskFromWire), nextPageToken: page.nextPageToken || undefined };
}

const pageSizeMax = 500;
/** A page of payloads and results of 256 KiB each must stay below what one message may carry. */
const payloadPageSize = 50;

/** All tasks, page after page. */
export async function* list(
  connection: Connection,
  filter: TaskFilter,
  options: CallOptions,
): AsyncGenerator<Task, void, undefined> {
  const pageSize = filter.pageSize ?? (filter.includePayload ? payloadPageSize : pageSizeMax);
  let pageToken: string | undefined;
  do {
    const page = await listPage(connection, { ...filter, pageSize }, { ...options, pageToken });
    yield* page.tasks;
    pageToken = page.nextPageToken;
  } while (pageToken);
}

/** The longest single call; connections that carry nothing for minutes are cut on the way. */
const pollMsMax = 30_000;
const pollGraceMs = 10_000;

export async function wait(
  connection: Connection,
  ref: TaskRef,
  { timeoutMs = Number.POSITIVE_INFINITY, ...options }: WaitOptions,
): Promise<Task> {
  const { system, tasks } = connection;
  const endsAt = system.monotonic() + timeoutMs;
  for (;;) {
    const askedAt = system.monotonic();
    // The wire's 0 means its default.
    const pollMs = Math.max(1, Math.min(pollMsMax, Math.ceil(endsAt - askedAt)));
    const request = { ...ref, timeoutMs: pollMs };
    const task = await repeat(connection, options, async (context) =>
      taskFromWire(await tasks.waitTask(request, { ...context, timeoutMs: pollMs + pollGraceMs })),
    );
    if (isFinal(task)) return task;
    if (system.monotonic() >= endsAt) throw new WaitTimedOut(task, timeoutMs);
    // A server that answers early, because it stops, must not be asked in a tight loop.
    if (system.monotonic() - askedAt < pollMs / 2) await system.sleep(Math.min(100, pollMs), options.signal);
  }
}

export async function* watch(
  connection: Connection,
  ref: TaskRef,
  { signal = new AbortController().signal }: CallOptions,
): AsyncGenerator<Task, void, undefined> {
  const { system, tasks, retryTimeoutMs } = connection;
  const patience = createPatience(system, retryTimeoutMs);
  let last: Task | undefined;
  for (;;) {
    signal.throwIfAborted();
    let cause: unknown = new Unavailable("unavailable", "STREAM_ENDED", "the server ended the stream");
    try {
      for await (const wire of tasks.watchTask({ ...ref }, { signal })) {
        const task = taskFromWire(wire);
        // After a reconnect the server begins with the task as it is.
        if (last && isSameState(last, task)) continue;
        patience.reset();
        last = task;
        yield task;
        if (isFinal(task)) return;
      }
    } catch (failure) {
      cause = failure;
    }
    signal.throwIfAborted();
    await system.sleep(patience.afterFailure(toSluiceError(cause)), signal);
  }
}

function isSameState(a: Task, b: Task): boolean {
  return (
    a.status === b.status &&
    a.attempt === b.attempt &&
    a.dueAtMs === b.dueAtMs &&
    a.stopRequested === b.stopRequested &&
    a.progress === b.progress &&
    a.events.at(-1)?.eventId === b.events.at(-1)?.eventId
  );
}

/** Tries again only until the first piece: what came already would come twice. */
export async function* log(
  connection: Connection,
  ref: TaskRef,
  { attempt = 0, follow = false, signal = new AbortController().signal }: LogOptions,
): AsyncGenerator<LogChunk, void, undefined> {
  const { system, tasks, retryTimeoutMs } = connection;
  const patience = createPatience(system, retryTimeoutMs);
  for (let hasBegun = false; ; ) {
    signal.throwIfAborted();
    try {
      for await (const chunk of tasks.getTaskLog({ ...ref, attempt, follow }, { signal })) {
        hasBegun = true;
        yield logChunkFromWire(chunk);
      }
      signal.throwIfAborted();
      return;
    } catch (cause) {
      signal.throwIfAborted();
      const error = toSluiceError(cause);
      if (hasBegun) throw error;
      await system.sleep(patience.afterFailure(error), signal);
    }
  }
}
