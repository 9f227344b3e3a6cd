// I1: an accepted task reaches a final status; none is lost.
import { isFinal } from "@sluice/core";
import { createChecker } from "./checker.ts";

const invariant = "I1";

export const i1 = createChecker({
  invariant,
  about: "An accepted task reaches a final status; none is lost.",
  needs: ["submissions", "rows"],
  check: ({ submissions, rows }) => {
    const byKey = new Map(rows.map((row) => [`${row.accountId}/${row.functionName}/${row.taskId}`, row]));
    const lost = submissions
      .filter(({ answer }) => answer === "accepted")
      .filter(({ account, function: name, taskId }) => !byKey.has(`${account}/${name}/${taskId}`))
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
