// I3: two attempts of a task never run at the same time.
import type { Checker } from "./history.ts";
import { describeExecution } from "./history.ts";
import { groupBy } from "./rows.ts";

export const checkI3: Checker = ({ executions }) =>
  [...groupBy(executions, ({ seq }) => seq).values()].flatMap((runs) => {
    const violations = [];
    const sorted = [...runs].sort((a, b) => a.startedAt - b.startedAt);
    for (const [index, later] of sorted.entries()) {
      const other = sorted.slice(0, index).find(({ endedAt }) => endedAt === undefined || endedAt > later.startedAt);
      if (!other) continue;
      const until = other.endedAt === undefined ? "still runs" : `ran until ${other.endedAt} ms`;
      const message = `${describeExecution(later)} started at ${later.startedAt} ms, but ${describeExecution(other)} ${until}`;
      violations.push({ invariant: "I3", seq: later.seq, message });
    }
    return violations;
  });
