// What was sent although it was paused. A pause counts five seconds after it was written, whatever fails: an owner that cannot
// read what is paused sends nothing.
import type { PauseTarget, TaskSelection } from "@sluice/store";
import type { Inserted, PauseHeld, Sent, StoreEvent } from "./history.ts";
import { insertsOf, movedIn } from "./rows.ts";

const graceMs = 5_000;

interface Paused {
  readonly store: readonly StoreEvent[];
  readonly sends: readonly Sent[];
  readonly pauses: readonly PauseHeld[];
}

export function sentInPause({ store, sends, pauses }: Paused): { readonly seq: number; readonly message: string }[] {
  const inserts = insertsOf(store);
  const moved = movedIn(store);
  return sends.flatMap(({ at, seq, attempt }) => {
    const row = inserts.get(seq);
    if (!row) return [];
    const pause = pauses.find(
      ({ from, until = Number.POSITIVE_INFINITY, target }) =>
        at > from + graceMs && at < until && isMeant(row, target, moved.has(seq)),
    );
    if (!pause) return [];
    return [
      { seq, message: `task ${seq} attempt ${attempt} was sent at ${at} ms, and was paused at ${pause.from} ms` },
    ];
  });
}

/** Where it cannot be known: no. */
function isMeant(row: Inserted, target: PauseTarget, hasMoved: boolean): boolean {
  if (target.kind === "queue") return row.queue === target.queue && !hasMoved;
  if (target.kind === "tasks") return passes(row, target.filter);
  return row.account === target.accountId && (target.kind === "account" || row.function === target.functionName);
}

function passes(row: Inserted, filter: TaskSelection): boolean {
  const { accountId, functionName, status, enqueuedFrom, enqueuedUntil, taskIdPrefix, priority, tag } = filter;
  return (
    row.account === accountId &&
    status === undefined &&
    (functionName === undefined || row.function === functionName) &&
    (enqueuedFrom === undefined || row.enqueuedAt >= enqueuedFrom) &&
    (enqueuedUntil === undefined || row.enqueuedAt < enqueuedUntil) &&
    (taskIdPrefix === undefined || row.taskId.startsWith(taskIdPrefix)) &&
    (priority === undefined || row.priority === priority) &&
    (tag === undefined || row.tags.includes(tag))
  );
}
