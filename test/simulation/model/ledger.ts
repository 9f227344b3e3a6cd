// The execution ledger: what really ran, where and when, written outside of everything that can fail. Times are true times.
import { describeExecution, type Execution } from "@sluice/checkers";
import type { Counters } from "../counters.ts";
import type { Trace } from "../trace.ts";

export interface Ledger {
  readonly executions: readonly Execution[];
  readonly runningCount: number;
  start(facts: Omit<Execution, "startedAt" | "endedAt" | "how">): Execution;
  end(execution: Execution, how: NonNullable<Execution["how"]>): void;
}

export function createLedger(options: {
  readonly now: () => number;
  readonly trace: Trace;
  readonly counters: Counters;
}): Ledger {
  const { now, trace, counters } = options;
  const executions: Execution[] = [];
  let runningCount = 0;
  return {
    executions,
    get runningCount() {
      return runningCount;
    },
    start(facts) {
      const execution: Execution = { ...facts, startedAt: now(), endedAt: undefined, how: undefined };
      executions.push(execution);
      runningCount++;
      trace.add(`START ${describeExecution(execution)}`);
      return execution;
    },
    end(execution, how) {
      execution.endedAt = now();
      execution.how = how;
      runningCount--;
      if (how === "killed") counters.add("killed with its processes");
      trace.add(`END ${describeExecution(execution)} ${how}`);
    },
  };
}
