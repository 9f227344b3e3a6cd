import { type Clock, deadline, isFinal, type Task } from "@sluice/core";
import type { Store } from "@sluice/store";
import { statusOf } from "../wire/task.ts";
import { found } from "./find-task.ts";
import type { Watches } from "./watches.ts";

export interface WatchOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly watches: Watches;
  /** How often the row is read although no hint came. */
  readonly pollMs: number;
}

/** The task as it is, then after every change of its status, attempt or progress, until it is final or the signal aborts. */
export async function* watchTask(options: WatchOptions, first: Task, signal: AbortSignal): AsyncGenerator<Task> {
  yield first;
  if (isFinal(first.status)) return;
  using watch = options.watches.open(first.seq);
  let last = first;
  while (!signal.aborted) {
    await watch.hinted(signal, options.pollMs);
    if (signal.aborted) return;
    const task = found(await options.store.tasks.get(first), { function: first.functionName, taskId: first.taskId });
    if (isFinal(task.status) || hasChanged(last, task)) yield task;
    if (isFinal(task.status)) return;
    last = task;
  }
}

/** The task when it is final, or as it is after `timeoutMs`. */
export async function waitTask(
  options: WatchOptions,
  first: Task,
  limit: { readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<Task> {
  const timeout = deadline(options.clock, limit.timeoutMs, limit.signal);
  let last = first;
  try {
    for await (const task of watchTask(options, first, timeout.signal)) last = task;
    return last;
  } finally {
    timeout.cancel();
  }
}

function hasChanged(before: Task, after: Task): boolean {
  return statusOf(before) !== statusOf(after) || before.attempt !== after.attempt || before.progress !== after.progress;
}
