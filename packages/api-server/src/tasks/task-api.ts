import { type Clock, isFinal, type Task } from "@sluice/core";
import { type Api, type CallContext, LogStream, type TaskServiceService } from "@sluice/protocol";
import { type Marked, markedTopic, type Signals } from "@sluice/queue";
import type { Logger } from "@sluice/runtime";
import type { LogPiece, Store } from "@sluice/store";
import type { Authenticate } from "../accounts/authenticate.ts";
import type { ApiServerConfig } from "../config.ts";
import { stoppingError } from "../stopping.ts";
import { asBuffer, toWireTask } from "../wire/task.ts";
import { checkInteger } from "../wire/text.ts";
import { findTask, found, parseKey } from "./find-task.ts";
import { listTasks } from "./list-tasks.ts";
import { followLog, readLog } from "./read-log.ts";
import { waitTask, watchTask } from "./watch-task.ts";
import type { Watches } from "./watches.ts";

type QueryApi = Omit<Api<typeof TaskServiceService>, "submitTask" | "submitTasks" | "submitStream">;

export interface TaskApiOptions {
  readonly config: ApiServerConfig;
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signals: Signals;
  readonly watches: Watches;
  readonly authenticate: Authenticate;
  /** Aborts when the server stops: calls that wait end then. */
  readonly stopping: AbortSignal;
}

const waitMs = { default: 60_000, max: 3_600_000 };

/** What TaskService answers from the store. */
export function createTaskApi(options: TaskApiOptions): QueryApi {
  const { config, store, clock, signals, watches, authenticate, stopping } = options;
  const watching = { store, clock, watches, pollMs: config.watchPollMs };
  const untilEither = ({ signal }: CallContext) => AbortSignal.any([signal, stopping]);

  /** A call that the end of the server cut off says so; its caller goes on at another one. */
  function assertComplete(context: CallContext): void {
    if (stopping.aborted && !context.signal.aborted) throw stoppingError();
  }

  return {
    async getTask(request, context) {
      return toWireTask(await findTask(store, await authenticate(context), request));
    },

    async listTasks(request, context) {
      return listTasks(store, await authenticate(context), request);
    },

    async *watchTask(request, context) {
      const first = await findTask(store, await authenticate(context), request);
      let last = first;
      for await (const task of watchTask(watching, first, untilEither(context))) {
        last = task;
        yield toWireTask(task);
      }
      if (!isFinal(last.status)) assertComplete(context);
    },

    async waitTask(request, context) {
      const accountId = await authenticate(context);
      const range = { field: "timeout_ms", reason: "INVALID_TIMEOUT", min: 0, max: waitMs.max };
      const timeoutMs = checkInteger(request.timeoutMs, range) || waitMs.default;
      const first = await findTask(store, accountId, request);
      const task = await waitTask(watching, first, { timeoutMs, signal: untilEither(context) });
      if (!isFinal(task.status)) assertComplete(context);
      return toWireTask(task);
    },

    async stopTask(request, context) {
      const key = parseKey(await authenticate(context), request);
      const task = found(await store.tasks.requestStop(key), request);
      if (!isFinal(task.status)) signals.send(markedTopic(task.queue), markOf(task));
      options.log.info("asked to stop a task", { ...key, status: task.status });
      return toWireTask(task);
    },

    async *getTaskLog(request, context) {
      const task = await findTask(store, await authenticate(context), request);
      const reading = { store, clock, watches, pollMs: config.logPollMs, signal: untilEither(context) };
      const pieces = request.follow ? followLog : readLog;
      for await (const piece of pieces(reading, task, request.attempt)) yield toChunk(piece);
      assertComplete(context);
    },
  };
}

function markOf({ lane, seq }: Task): string {
  const marks: Marked[] = [{ lane, seq }];
  return JSON.stringify(marks);
}

function toChunk({ attempt, stream, at, data }: LogPiece) {
  return {
    attempt,
    stream: stream === "stdout" ? LogStream.STDOUT : LogStream.STDERR,
    timeMs: at,
    data: asBuffer(data),
  };
}
