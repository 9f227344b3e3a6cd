import { AppError, type Clock, isFinal, type Task } from "@sluice/core";
import type { LogPiece, Store } from "@sluice/store";
import { found } from "./find-task.ts";
import type { Watches } from "./watches.ts";

export interface ReadLogOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly watches: Watches;
  /** How often a followed log is read although no hint came. */
  readonly pollMs: number;
  readonly signal: AbortSignal;
}

/** Pieces of one read. */
const readMax = 256;
/** How often the task's row is read while its log is followed, in reads of the log. */
const readsPerLook = 4;
/** An agent uploads the last pieces a moment after the attempt ended. */
const lingerMs = 1_500;

/** What an attempt has written so far. Throws `ATTEMPT_NOT_FOUND`. */
export async function* readLog(options: ReadLogOptions, task: Task, wanted: number): AsyncGenerator<LogPiece> {
  yield* piecesBehind(options, { seq: task.seq, attempt: attemptOf(task, wanted) }, { after: -1 });
}

/** The same, and goes on until the attempt has ended and its log is complete, or the signal aborts. */
export async function* followLog(options: ReadLogOptions, first: Task, wanted: number): AsyncGenerator<LogPiece> {
  const { store, clock, signal, pollMs } = options;
  const attempt = attemptOf(first, wanted);
  const key = { seq: first.seq, attempt };
  const position = { after: -1 };
  using watch = options.watches.open(first.seq);
  let task = first;
  let endSeenAt: number | undefined;
  for (let reads = 1; !signal.aborted; reads++) {
    // The row first, the log second: what was stored before the attempt ended is not missed.
    if (hasEnded(task, attempt)) endSeenAt ??= endedLongAgo(clock, task) ? Number.NEGATIVE_INFINITY : clock.monotonic();
    yield* piecesBehind(options, key, position);
    if (endSeenAt !== undefined && clock.monotonic() - endSeenAt >= lingerMs) return;
    const isHinted = await watch.hinted(signal, pollMs);
    if (signal.aborted) return;
    if (endSeenAt === undefined && (isHinted || reads % readsPerLook === 0)) {
      task = found(await store.tasks.get(first), { function: first.functionName, taskId: first.taskId });
    }
  }
}

/** All pieces behind `position`, which moves along. */
async function* piecesBehind(
  { store, signal }: ReadLogOptions,
  key: { readonly seq: number; readonly attempt: number },
  position: { after: number },
): AsyncGenerator<LogPiece> {
  while (!signal.aborted) {
    const pieces = await store.logs.read({ ...key, after: position.after, limit: readMax });
    for (const piece of pieces) {
      position.after = piece.index;
      yield piece;
    }
    if (pieces.length < readMax) return;
  }
}

/** 0: the latest one. */
function attemptOf(task: Task, wanted: number): number {
  if (wanted === 0) return task.attempt;
  if (Number.isInteger(wanted) && wanted > 0 && wanted <= task.attempt) return wanted;
  throw new AppError("not_found", "ATTEMPT_NOT_FOUND", `the task has ${task.attempt} attempts so far`, {
    field: "attempt",
  });
}

function hasEnded(task: Task, attempt: number): boolean {
  return isFinal(task.status) || task.attempt > attempt;
}

function endedLongAgo(clock: Clock, task: Task): boolean {
  return task.endedAt !== undefined && clock.now() - task.endedAt > 2 * lingerMs;
}
