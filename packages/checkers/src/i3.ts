// I3: two attempts of a task never run at the same time.
import { createChecker } from "./checker.ts";
import { describeExecution } from "./history.ts";
import { groupBy } from "./rows.ts";

const invariant = "I3";

export const i3 = createChecker({
  invariant,
  about: "Two attempts of a task never run at the same time.",
  needs: ["executions"],
  check: ({ executions }) =>
    [...groupBy(executions, ({ seq }) => seq).values()].flatMap((runs) => {
      const violations = [];
      const sorted = [...runs].sort((a, b) => a.startedAt - b.startedAt);
      for (const [index, later] of sorted.entries()) {
        const other = sorted.slice(0, index).find(({ endedAt }) => endedAt === undefined || endedAt > later.startedAt);
        if (!other) continue;
        const until = other.endedAt === undefined ? "still runs" : `ran until ${other.endedAt} ms`;
        const message = `${describeExecution(later)} started at ${later.startedAt} ms, but ${describeExecution(other)} ${until}`;
        violations.push({ invariant, seq: later.seq, message });
      }
      return violations;
    }),
});
