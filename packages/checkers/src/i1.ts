// I1: an accepted task reaches a final status; none is lost.
import { isFinal } from "@sluice/core";
import { createChecker } from "./checker.ts";
import { deletedKeys, keyOf, taskKeyOf } from "./rows.ts";

const invariant = "I1";

export const i1 = createChecker({
  invariant,
  about: "An accepted task reaches a final status, unless its account has it deleted; none is lost.",
  needs: ["submissions", "rows"],
  check: ({ submissions, rows, store = [] }) => {
    const deleted = deletedKeys(store);
    const byKey = new Map(rows.map((row) => [taskKeyOf(row), row]));
    const lost = submissions
      .filter(({ answer }) => answer === "accepted")
      .filter((submission) => !byKey.has(keyOf(submission)) && !deleted.has(keyOf(submission)))
      .map(({ account, function: name, taskId }) => ({
        invariant,
        message: `${account}/${name}/${taskId} was accepted and is nowhere`,
      }));
    const open = rows
      .filter(({ status }) => !isFinal(status))
      .map(({ seq, status, attempt, dueAt, parkReason }) => ({
        invariant,
        seq,
        message: `task ${seq} is ${status} at attempt ${attempt} after everything healed${dueAt === undefined ? "" : `, parked by ${parkReason} until ${dueAt}`}`,
      }));
    return [...lost, ...open];
  },
});
