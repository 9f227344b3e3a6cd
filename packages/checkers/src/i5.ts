// I5: attempt and epoch never go down.
import { createChecker } from "./checker.ts";
import type { StoreEvent, Violation } from "./history.ts";
import { describeExecution, type Execution } from "./history.ts";
import { laneCount, lanesOf } from "./lanes.ts";
import { groupBy, insertsOf, movedIn } from "./rows.ts";

const invariant = "I5";

export const i5 = createChecker({
  invariant,
  about: "Attempts and epochs never go down.",
  needs: ["executions"],
  check: ({ store = [], executions }) => [...floorsGrow(store), ...rowsGrow(store), ...startsGrow(executions, store)],
});

/** Of each lane in the store. */
function floorsGrow(store: readonly StoreEvent[]): Violation[] {
  const floors = new Map<string, number[]>();
  return store.flatMap((event) => {
    if (event.kind !== "raised") return [];
    const { queue, prefix, epoch } = event.owner;
    const lanes = floors.get(queue) ?? new Array<number>(laneCount).fill(0);
    floors.set(queue, lanes);
    const { from, until } = lanesOf(prefix);
    const highest = Math.max(...lanes.slice(from, until));
    lanes.fill(epoch, from, until);
    if (epoch >= highest) return [];
    return [{ invariant, message: `${event.by} lowered a floor of ${queue}/${prefix} from ${highest} to ${epoch}` }];
  });
}

/** Of each row. */
function rowsGrow(store: readonly StoreEvent[]): Violation[] {
  const attempts = new Map([...insertsOf(store).keys()].map((seq) => [seq, 1]));
  return store.flatMap((event) => {
    if (event.kind !== "written" || !event.applied) return [];
    const { write, by } = event;
    const before = attempts.get(write.seq) ?? 1;
    const after = write.kind === "park" ? write.nextAttempt : write.attempt;
    attempts.set(write.seq, after);
    if (write.attempt === before && after >= before) return [];
    const message = `${by} wrote attempt ${write.attempt} (then ${after}) of task ${write.seq}, which was at ${before}`;
    return [{ invariant, seq: write.seq, message }];
  });
}

/**
 * Nothing starts after a later attempt, or under a lower epoch than before. Epochs are those of lanes: a task that was given
 * to another lane may meet a lower one there, also with the same attempt, if agent and owner were gone (I4).
 */
function startsGrow(executions: readonly Execution[], store: readonly StoreEvent[]): Violation[] {
  const moved = movedIn(store);
  return [...groupBy(executions, ({ seq }) => seq).values()].flatMap((runs) =>
    runs.flatMap((later, index) => {
      const isComparable = ({ seq }: Execution) => !moved.has(seq);
      const earlier = runs
        .slice(0, index)
        .find((run) => run.attempt > later.attempt || (run.epoch > later.epoch && isComparable(run)));
      if (!earlier) return [];
      const message = `${describeExecution(later)} started at ${later.startedAt} ms, after ${describeExecution(earlier)}`;
      return [{ invariant, seq: later.seq, message }];
    }),
  );
}
