// I8: no start before `due_at`, after expiry, or after the status is final.
import type { Checker, Inserted, StoreEvent } from "./history.ts";
import { describeExecution, type Execution } from "./history.ts";
import { groupBy, insertsOf } from "./rows.ts";

/** Clocks differ by 2 %, and an instance takes a while to start. */
const expiryToleranceMs = 3_000;

export const checkI8: Checker = ({ store, executions, wallStart }) => {
  const inserts = insertsOf(store);
  const events = groupBy(
    store.filter((event) => event.kind === "written" && event.applied),
    (event) => (event.kind === "written" ? event.write.seq : 0),
  );
  return executions.flatMap((execution) => {
    const row = inserts.get(execution.seq);
    const why = row && reason(execution, row, events.get(execution.seq) ?? [], wallStart);
    if (!why) return [];
    const message = `${describeExecution(execution)} started at ${execution.startedAt} ms, ${why}`;
    return [{ invariant: "I8", seq: execution.seq, message }];
  });
};

function reason(
  { startedAt }: Execution,
  row: Inserted,
  events: readonly StoreEvent[],
  wallStart: number,
): string | undefined {
  const now = wallStart + startedAt;
  let dueAt = row.dueAt;
  for (const event of events) {
    if (event.kind !== "written" || event.at > startedAt) break;
    if (event.write.kind === "settle") return `after it was settled as ${event.write.status} at ${event.at} ms`;
    if (event.write.kind === "park") dueAt = event.write.dueAt;
  }
  if (dueAt !== undefined && now < dueAt) return `${dueAt - now} ms before it was due`;
  if (row.expiresAt !== undefined && now > row.expiresAt + expiryToleranceMs)
    return `${now - row.expiresAt} ms after its expiry`;
  return undefined;
}
