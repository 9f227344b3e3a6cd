// I3: two attempts of a task never run at the same time. Where the store's history is known, also what makes the next attempt
// possible: nobody parks or settles a row while an attempt of its task runs.
import { createChecker } from "./checker.ts";
import { describeExecution, type Execution, type StoreEvent, type Violation } from "./history.ts";
import { groupBy } from "./rows.ts";

const invariant = "I3";

export const i3 = createChecker({
  invariant,
  about: "Two attempts of a task never run at the same time.",
  needs: ["executions"],
  check({ executions, store = [] }) {
    const runs = groupBy(executions, ({ seq }) => seq);
    return [...[...runs.values()].flatMap(overlaps), ...letGo(store, runs)];
  },
});

function overlaps(runs: readonly Execution[]): Violation[] {
  const sorted = [...runs].sort((a, b) => a.startedAt - b.startedAt);
  return sorted.flatMap((later, index) => {
    const other = sorted.slice(0, index).find((earlier) => runsAfter(earlier, later.startedAt));
    if (!other) return [];
    const until = other.endedAt === undefined ? "still runs" : `ran until ${other.endedAt} ms`;
    const message = `${describeExecution(later)} started at ${later.startedAt} ms, but ${describeExecution(other)} ${until}`;
    return [{ invariant, seq: later.seq, message }];
  });
}

function letGo(store: readonly StoreEvent[], runs: ReadonlyMap<number, readonly Execution[]>): Violation[] {
  return store.flatMap((event) => {
    if (event.kind === "overflown" || event.kind === "batch") {
      const { at, by } = event;
      const did = event.kind === "batch" ? event.did : "parked";
      return event.seqs.flatMap((seq) => {
        const running = runs.get(seq)?.find((run) => run.startedAt < at && runsAfter(run, at));
        if (!running) return [];
        return [
          { invariant, seq, message: `${by} ${did} task ${seq} at ${at} ms, while ${describeExecution(running)} ran` },
        ];
      });
    }
    if (event.kind !== "written" || !event.applied || event.write.kind === "running") return [];
    const { at, by, write } = event;
    const running = runs.get(write.seq)?.find((run) => run.startedAt < at && runsAfter(run, at));
    if (!running) return [];
    const what = write.kind === "settle" ? `settled task ${write.seq} as ${write.status}` : `parked task ${write.seq}`;
    return [
      { invariant, seq: write.seq, message: `${by} ${what} at ${at} ms, while ${describeExecution(running)} ran` },
    ];
  });
}

function runsAfter({ endedAt }: Execution, at: number): boolean {
  return endedAt === undefined || endedAt > at;
}
