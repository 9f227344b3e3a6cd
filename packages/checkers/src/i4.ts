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
    // An incarnation may be called dead more than once: by an owner, and by its successor that registers.
    const died = new Map<string, number>();
    const dies = (key: string, at: number) => died.set(key, Math.min(at, died.get(key) ?? Number.POSITIVE_INFINITY));
    for (const event of store) if (event.kind === "died") dies(`${event.agentId}/${event.incarnation}`, event.at);
    for (const { agentId, incarnation, downAt } of lives) {
      if (downAt !== undefined) dies(`${agentId}/${incarnation()}`, downAt);
    }
    const isGone = ({ agentId, incarnation }: Execution, at: number) =>
      (died.get(`${agentId}/${incarnation}`) ?? Number.POSITIVE_INFINITY) <= at;
    // By a later owner of the lanes where it ran; epochs of different lanes cannot be compared.
    const movedSince = ({ seq, epoch }: Execution) =>
      store.some(
        (event) =>
          event.kind === "written" &&
          event.applied &&
          event.write.seq === seq &&
          event.owner.epoch > epoch &&
          event.write.kind === "park" &&
          event.write.moveTo !== undefined,
      );
    return [...groupBy(executions, ({ seq }) => seq).values()].flatMap((runs) =>
      runs.flatMap((later, index) => {
        const earlier = runs.slice(0, index).find(({ attempt }) => attempt === later.attempt);
        if (!earlier) return [];
        // Every owner has its own epoch.
        if (isGone(earlier, later.startedAt) && (later.epoch > earlier.epoch || movedSince(earlier))) return [];
        const message = `${describeExecution(later)} started at ${later.startedAt} ms, but ${describeExecution(earlier)} had started at ${earlier.startedAt} ms, and not both its agent and its owner were gone`;
        return [{ invariant, seq: later.seq, message }];
      }),
    );
  },
});
