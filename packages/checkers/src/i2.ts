// I2: one final status per run of a task, never overwritten; and what it says has really happened, for a cause that was there.
import { isFinal, type Task } from "@sluice/core";
import { createChecker } from "./checker.ts";
import { unexplained } from "./ends.ts";
import type { Batch, Execution, Violation, Written } from "./history.ts";
import { resultOf } from "./history.ts";
import { batchesOf, deletedKeys, groupBy, keyOf } from "./rows.ts";

const invariant = "I2";

export const i2 = createChecker({
  invariant,
  about:
    "A run of a task has one final status, never overwritten, of an attempt that really ended so, and for a cause.",
  needs: ["rows", "executions", "observations"],
  check: (history) => {
    const { store = [], rows, executions, observations } = history;
    const violations: Violation[] = unexplained(history).map((each) => ({ invariant, ...each }));
    const writes = groupBy(
      store.filter((event) => event.kind === "written"),
      ({ write }) => write.seq,
    );
    const runs = groupBy(executions, ({ seq }) => seq);
    const bySeq = new Map(rows.map((row) => [row.seq, row]));
    const batches = batchesOf(store);
    for (const [seq, ofTask] of writes)
      violations.push(...overwritten(seq, ofTask), ...differs(ofTask, bySeq.get(seq)));
    for (const [seq, ofTask] of batches) violations.push(...overwrittenInBulk(seq, ofTask, writes.get(seq) ?? []));
    const deleted = deletedKeys(store);
    for (const row of rows) violations.push(...invented(row, runs.get(row.seq) ?? []));
    const byKey = new Map(rows.map((row) => [`${row.accountId}/${row.functionName}/${row.taskId}`, row]));
    for (const seen of observations) {
      const row = byKey.get(`${seen.account}/${seen.function}/${seen.taskId}`);
      if (deleted.has(keyOf(seen))) continue;
      if (row?.status === seen.status && row.attempt === seen.attempt) continue;
      const is = row ? `${row.status} at attempt ${row.attempt}` : "nowhere";
      const message = `a client read ${seen.taskId} as ${seen.status} at attempt ${seen.attempt}, now it is ${is}`;
      violations.push({ invariant, message });
    }
    return violations;
  },
});

function overwritten(seq: number, writes: readonly Written[]): Violation[] {
  const end = writes.findIndex(({ write, applied }) => applied && write.kind === "settle");
  if (end === -1) return [];
  return writes.slice(end + 1).flatMap(({ write, applied, by, at }) => {
    if (!applied) return [];
    const what = write.kind === "settle" ? write.status : write.kind;
    return [{ invariant, seq, message: `task ${seq} was final when ${by} wrote ${what} at ${at} ms` }];
  });
}

/** An operation ends what is open, once; only deleting comes after an end, and nothing after that. */
function overwrittenInBulk(seq: number, batches: readonly Batch[], writes: readonly Written[]): Violation[] {
  const applied = writes.filter((each) => each.applied);
  return batches.flatMap(({ at, by, did }, index) => {
    const later = applied.find((write) => write.at > at);
    const before = applied.find((write) => write.write.kind === "settle" && write.at < at);
    const others = batches.slice(0, index).find((other) => did === "stopped" || other.did === "deleted");
    const what = did === "stopped" ? "stopped" : "deleted";
    const facts = [
      ...(later
        ? [`${later.by} wrote ${later.write.kind} at ${later.at} ms, after ${by} had ${what} it at ${at} ms`]
        : []),
      ...(did === "stopped" && before ? [`${by} stopped it at ${at} ms, and it was final`] : []),
      ...(others ? [`${by} ${what} it at ${at} ms, after ${others.by} had ${others.did} it`] : []),
    ];
    return facts.map((fact) => ({ invariant, seq, message: `task ${seq}: ${fact}` }));
  });
}

function differs(writes: readonly Written[], row: Task | undefined): Violation[] {
  const settled = writes.find(({ write, applied }) => applied && write.kind === "settle")?.write;
  if (!row || settled?.kind !== "settle") return [];
  if (row.status === settled.status && row.attempt === settled.attempt) return [];
  const message = `task ${row.seq} was settled as ${settled.status} at attempt ${settled.attempt}, and reads ${row.status} at ${row.attempt}`;
  return [{ invariant, seq: row.seq, message }];
}

/** Only an execution that came to its end makes a success. */
function invented(row: Task, executions: readonly Execution[]): Violation[] {
  if (!isFinal(row.status) || row.status !== "Succeeded") return [];
  const { seq, attempt } = row;
  const result = Buffer.from(row.result).toString();
  const hasRun = executions.some((execution) => execution.attempt === attempt && execution.how === "ok");
  if (hasRun && result === resultOf(seq, attempt)) return [];
  return [{ invariant, seq, message: `task ${seq} succeeded with "${result}", but attempt ${attempt} did not end so` }];
}
