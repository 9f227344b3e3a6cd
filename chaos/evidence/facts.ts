// What checks and figures look at.
import type { AgentLife, Execution, History } from "@sluice/checkers";
import type { Task } from "@sluice/core";
import type { Evidence, FaultMark, TaskKind } from "../contract.ts";

export interface Facts {
  readonly evidence: Evidence;
  readonly marks: readonly FaultMark[];
  readonly rows: readonly Task[];
  /** In the order of their starts. */
  readonly executions: readonly Execution[];
  readonly lives: readonly AgentLife[];
  /** Undefined: nobody submitted it. */
  kindOf(row: Pick<Task, "accountId" | "taskId">): TaskKind | undefined;
}

/** Succeed at their first attempt unless somebody takes that from them. */
export const plainKinds: ReadonlySet<TaskKind> = new Set(["short", "medium", "long", "delayed", "limited"]);

/** What waits for nothing but its turn may start at once; these wait for others of their function as well. */
export const waitsForItsLimit = (kind: TaskKind | undefined): boolean => kind === "limited";

export function factsOf(evidence: Evidence, marks: readonly FaultMark[] = []): Facts {
  const { rows = [], executions = [], lives = [] }: History = evidence.history;
  const kinds = new Map(evidence.submissions.map(({ account, taskId, kind }) => [`${account}/${taskId}`, kind]));
  return {
    evidence,
    marks,
    rows,
    executions: [...executions].sort((a, b) => a.startedAt - b.startedAt),
    lives,
    kindOf: ({ accountId, taskId }) => kinds.get(`${accountId}/${taskId}`),
  };
}

/** In the order of their starts. */
export function bySeq(executions: readonly Execution[]): Map<number, Execution[]> {
  const groups = new Map<number, Execution[]>();
  for (const execution of executions) {
    const group = groups.get(execution.seq);
    if (group) group.push(execution);
    else groups.set(execution.seq, [execution]);
  }
  return groups;
}
