// I9: attempts are bounded. Failures of the function are retried as often as it allows; an attempt that was lost with its
// agent is retried without counting, three times; flow control is nobody's failure. Nobody gives up before that, and nothing
// is run again for nothing.
import type { Task } from "@sluice/core";
import { createChecker } from "./checker.ts";
import type { Execution, StoreEvent, Violation } from "./history.ts";
import { causeless } from "./repeats.ts";
import { groupBy } from "./rows.ts";

const invariant = "I9";
const lostAttemptsMax = 3;
/** Errors of attempts that failed and may be tried again. */
const retryableTypes: ReadonlySet<string> = new Set(["UnhandledInvocationError", "FunctionTimeout"]);

export const i9 = createChecker({
  invariant,
  about:
    "A task is retried as often as its function allows, and three times more after attempts lost with their agents.",
  needs: ["rows", "executions", "functions"],
  check: (history) => {
    const { rows, executions, functions, store = [] } = history;
    const allowed = new Map(functions.map((one) => [`${one.account}/${one.function}`, one.maxAsyncRetryAttempts]));
    const runs = groupBy(executions, ({ seq }) => seq);
    const parks = throttlesOf(store);
    return [
      ...rows.flatMap((row) => {
        const retriesMax = allowed.get(`${row.accountId}/${row.functionName}`);
        if (retriesMax === undefined) return [];
        const facts = { retriesMax, runs: runs.get(row.seq) ?? [], throttled: parks?.get(row.seq) ?? 0 };
        return reasonsOf(row, facts).map((reason) => violation(row, reason));
      }),
      ...uncounted(store),
      ...causeless(history).map((each) => ({ invariant, ...each })),
    ];
  },
});

interface Facts {
  readonly retriesMax: number;
  readonly runs: readonly Execution[];
  readonly throttled: number;
}

function reasonsOf(row: Task, { retriesMax, runs, throttled }: Facts): string[] {
  const { attempt, retries, lostAttempts, status, error } = row;
  const reasons: string[] = [];
  if (retries > retriesMax) reasons.push(`was retried ${retries} times, and ${retriesMax} are allowed`);
  if (lostAttempts > lostAttemptsMax) reasons.push(`lost ${lostAttempts} attempts, and went on`);
  const ran = new Set(runs.filter(({ how }) => how !== "throttled").map((run) => run.attempt)).size;
  const most = 1 + retriesMax + lostAttemptsMax + throttled;
  if (ran > most) reasons.push(`ran as ${ran} attempts, and at most ${most} are allowed`);
  if (attempt < 1 + retries + lostAttempts)
    reasons.push(`is at attempt ${attempt} after ${retries} retries and ${lostAttempts} lost ones`);
  if (status !== "Failed" || error === undefined) return reasons;
  if (retryableTypes.has(error.type) && retries < retriesMax)
    reasons.push(`failed by ${error.type} after ${retries} of ${retriesMax} retries`);
  if (error.type === "AgentLost" && lostAttempts < lostAttemptsMax)
    reasons.push(`was given up after ${lostAttempts} lost attempts`);
  return reasons;
}

/** Attempts for which there was no room, by task. */
function throttlesOf(store: readonly StoreEvent[]): Map<number, number> {
  const counts = new Map<number, number>();
  for (const event of store) {
    if (event.kind !== "written" || !event.applied || event.write.kind !== "park") continue;
    const { seq, attempt, nextAttempt, reason } = event.write;
    if (reason === "throttle" && nextAttempt > attempt) counts.set(seq, (counts.get(seq) ?? 0) + 1);
  }
  return counts;
}

/** Every further attempt is a retry, a lost one, or flow control. */
function uncounted(store: readonly StoreEvent[]): Violation[] {
  const before = new Map<number, { readonly retries: number; readonly lostAttempts: number }>();
  return store.flatMap((event) => {
    if (event.kind !== "written" || !event.applied || event.write.kind !== "park") return [];
    const { seq, attempt, nextAttempt, reason, retries, lostAttempts } = event.write;
    const last = before.get(seq) ?? { retries: 0, lostAttempts: 0 };
    before.set(seq, { retries, lostAttempts });
    const counted = retries - last.retries + (lostAttempts - last.lostAttempts);
    const due = nextAttempt > attempt && reason === "backoff" ? 1 : 0;
    if (counted === due && nextAttempt - attempt <= 1) return [];
    const message = `${event.by} parked task ${seq} (${reason}, attempt ${attempt} to ${nextAttempt}) with ${retries} retries and ${lostAttempts} lost attempts, after ${last.retries} and ${last.lostAttempts}`;
    return [{ invariant, seq, message }];
  });
}

function violation({ seq }: Task, reason: string): Violation {
  return { invariant, seq, message: `task ${seq} ${reason}` };
}
