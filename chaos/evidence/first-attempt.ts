// A task whose handler does not fail has one attempt. A further one needs a reason that somebody outside of the services can see.
import { describeExecution, type Violation } from "@sluice/checkers";
import type { Task } from "@sluice/core";
import type { Check } from "./checks.ts";
import { excusesOf } from "./excuses.ts";
import { bySeq, type Facts, plainKinds } from "./facts.ts";

const invariant = "first-attempt";

export const firstAttempt: Check = {
  name: invariant,
  about: "A task that fails nowhere ends with its first attempt, unless its agent died or was told to stop.",
  check: (facts) => {
    const reason = disturbances(facts);
    return facts.rows.flatMap((row): Violation[] => {
      const kind = facts.kindOf(row);
      if (row.attempt === 1 || kind === undefined || !plainKinds.has(kind)) return [];
      const without = reason(row);
      if (without === undefined) return [];
      const { accountId, taskId, attempt, lostAttempts, retries } = row;
      const counted = `${lostAttempts} lost, ${retries} retried`;
      const message = `${accountId}/${taskId} (${kind}) is at attempt ${attempt} (${counted}): ${without}`;
      return [{ invariant, seq: row.seq, message }];
    });
  },
};

/** Which attempt of a task ended for no reason; undefined: none. */
function disturbances({ evidence, executions, lives, marks }: Facts): (row: Task) => string | undefined {
  const { wallStart } = evidence.history;
  const { isGone, isHandedBack, hadTrouble } = excusesOf({ lives, marks });
  const runs = bySeq(executions);
  return ({ seq, attempt: last, enqueuedAt, endedAt }) => {
    const ran = runs.get(seq) ?? [];
    const endsAt = endedAt === undefined ? evidence.until : endedAt - wallStart;
    for (let attempt = 1; attempt < last; attempt += 1) {
      const run = ran.findLast((one) => one.attempt === attempt);
      const nextAt = ran.find((one) => one.attempt > attempt)?.startedAt ?? endsAt;
      if (!run) {
        // Given to an agent, and gone before the handler began.
        if (!hadTrouble(enqueuedAt - wallStart, nextAt))
          return `attempt ${attempt} never began, and no agent died or left`;
        // One that had ended well is judged as executed twice.
      } else if (run.how !== "ok" && !isGone(run, nextAt) && !isHandedBack(run)) {
        const end = `${run.how ?? "still running"} at ${Math.round(run.endedAt ?? nextAt)} ms`;
        return `${describeExecution(run)} was ${end}, and its agent neither died nor left`;
      }
    }
    return undefined;
  };
}
