// I4: an attempt is executed at most once, whatever scheduler dispatches it; again only if its agent and the owner that knew
// of it are both gone.
import { createChecker } from "./checker.ts";
import { describeExecution, type Execution } from "./history.ts";
import { groupBy } from "./rows.ts";

const invariant = "I4";

export const i4 = createChecker({
  invariant,
  about: "An attempt is executed at most once; again only if its agent and the owner that knew of it are both gone.",
  needs: ["executions", "lives"],
  check: ({ executions, lives, store = [] }) => {
    const died = new Map<string, number>(
      store.flatMap((event) =>
        event.kind === "died" ? [[`${event.agentId}/${event.incarnation}`, event.at] as const] : [],
      ),
    );
    for (const { agentId, incarnation, downAt } of lives) {
      const key = `${agentId}/${incarnation()}`;
      if (downAt !== undefined) died.set(key, Math.min(downAt, died.get(key) ?? Number.POSITIVE_INFINITY));
    }
    const isGone = ({ agentId, incarnation }: Execution, at: number) =>
      (died.get(`${agentId}/${incarnation}`) ?? Number.POSITIVE_INFINITY) <= at;
    return [...groupBy(executions, ({ seq }) => seq).values()].flatMap((runs) =>
      runs.flatMap((later, index) => {
        const earlier = runs.slice(0, index).find(({ attempt }) => attempt === later.attempt);
        if (!earlier) return [];
        // Every owner has its own epoch.
        if (isGone(earlier, later.startedAt) && later.epoch > earlier.epoch) return [];
        const message = `${describeExecution(later)} started at ${later.startedAt} ms, but ${describeExecution(earlier)} had started at ${earlier.startedAt} ms, and not both its agent and its owner were gone`;
        return [{ invariant, seq: later.seq, message }];
      }),
    );
  },
});
