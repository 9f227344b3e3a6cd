// I8: no start before `due_at`, after expiry, or after the status is final; and nothing is sent that was paused five seconds ago.
//
// With what the store did, times are those of the writes. Without it, a task was due no earlier than its delay after it was
// asked for, expired when its client wanted it, counted from when its row was written, and ended when its row says so: retries
// that wait for their back-off are not seen then.
import type { EpochMs, Task } from "@sluice/core";
import { createChecker } from "./checker.ts";
import type { Inserted, StoreEvent, Submission } from "./history.ts";
import { describeExecution, type Execution } from "./history.ts";
import { sentInPause } from "./pauses.ts";
import { batchesOf, groupBy, insertsOf, keyOf, taskKeyOf } from "./rows.ts";

/** Clocks differ by 2 %, and an instance takes a while to start. */
const expiryToleranceMs = 3_000;

const invariant = "I8";

export const i8 = createChecker({
  invariant,
  about: "Nothing starts before it is due, after its expiry, while it is paused, or after its end.",
  needs: ["executions", "rows", "submissions"],
  check: ({ store, rows, submissions, executions, wallStart, sends, pauses }) => {
    const why = store ? fromStore(store) : fromRows(rows, submissions, wallStart);
    const started = executions.flatMap((execution) => {
      const reason = why(execution, wallStart + execution.startedAt);
      if (!reason) return [];
      const message = `${describeExecution(execution)} started at ${execution.startedAt} ms, ${reason}`;
      return [{ invariant, seq: execution.seq, message }];
    });
    const sent = store && sends && pauses ? sentInPause({ store, sends, pauses }) : [];
    return [...started, ...sent.map(({ seq, message }) => ({ invariant, seq, message }))];
  },
});

/** Why it should not have started; undefined: it is right. */
type Judge = (execution: Execution, startedAt: EpochMs) => string | undefined;

function fromStore(store: readonly StoreEvent[]): Judge {
  const inserts = insertsOf(store);
  const events = groupBy(
    store.filter((event) => event.kind === "written").filter(({ applied }) => applied),
    ({ write }) => write.seq,
  );
  const batches = batchesOf(store);
  const unparked = new Map<number, number[]>();
  for (const event of store) {
    if (event.kind !== "unparked") continue;
    for (const seq of event.seqs) unparked.set(seq, [...(unparked.get(seq) ?? []), event.at]);
  }
  return (execution, startedAt) => {
    const row = inserts.get(execution.seq);
    if (!row) return "although it was never submitted";
    const ended = batches.get(execution.seq)?.find(({ at }) => at < execution.startedAt);
    if (ended) return `after operation ${ended.operationId} had ${ended.did} it at ${ended.at} ms`;
    let { dueAt } = row;
    for (const { at, write } of events.get(execution.seq) ?? []) {
      if (at > execution.startedAt) break;
      if (write.kind === "settle") return `after it was settled as ${write.status} at ${at} ms`;
      if (write.kind !== "park") continue;
      // Overflow is taken out due or not.
      dueAt = write.reason === "pause" || write.reason === "overflow" ? undefined : write.dueAt;
      // What a pause has parked comes out when that ends.
      const resumedAt = unparked.get(execution.seq)?.find((time) => time >= at) ?? Number.POSITIVE_INFINITY;
      if (write.reason === "pause" && resumedAt > execution.startedAt)
        return `while a pause had it parked, at ${at} ms`;
    }
    return outside({ dueAt, expiresAt: row.expiresAt }, startedAt);
  };
}

function fromRows(rows: readonly Task[], submissions: readonly Submission[], wallStart: EpochMs): Judge {
  const bySeq = new Map(rows.map((row) => [row.seq, row]));
  const dueAts = new Map<string, EpochMs>();
  /** After the row was written. */
  const expiries = new Map<string, number>();
  for (const submission of submissions) {
    const { askedAt, delayMs, expiresAfterMs } = submission;
    const key = keyOf(submission);
    dueAts.set(key, Math.min(wallStart + askedAt + delayMs, dueAts.get(key) ?? Number.POSITIVE_INFINITY));
    const expiry = expiresAfterMs > 0 ? delayMs + expiresAfterMs : Number.POSITIVE_INFINITY;
    expiries.set(key, Math.max(expiry, expiries.get(key) ?? 0));
  }
  return (execution, startedAt) => {
    const row = bySeq.get(execution.seq);
    if (!row) return "although it was never submitted";
    if (row.endedAt !== undefined && startedAt > row.endedAt) return `after it ended as ${row.status}`;
    const key = taskKeyOf(row);
    // The row alone would hide an expiry that nobody has kept.
    const wanted = row.enqueuedAt + (expiries.get(key) ?? Number.POSITIVE_INFINITY);
    const expiresAt = Math.min(row.expiresAt ?? Number.POSITIVE_INFINITY, wanted);
    return outside({ dueAt: dueAts.get(key), expiresAt }, startedAt);
  };
}

function outside({ dueAt, expiresAt }: Pick<Inserted, "dueAt" | "expiresAt">, startedAt: EpochMs): string | undefined {
  if (dueAt !== undefined && startedAt < dueAt) return `${dueAt - startedAt} ms before it was due`;
  if (expiresAt !== undefined && startedAt > expiresAt + expiryToleranceMs)
    return `${startedAt - expiresAt} ms after its expiry`;
  return undefined;
}
