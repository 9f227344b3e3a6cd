// Evidence made by hand: one task that runs once and succeeds, and what tests change about it.
import {
  type AgentLife,
  type Execution,
  emptyHistory,
  type History,
  resultOf,
  type Submission,
} from "@sluice/checkers";
import { AccountId, FunctionName, type Task, TaskId } from "@sluice/core";
import { aTask } from "@sluice/core/testing";
import type { Evidence, SubmissionRecord } from "../contract.ts";

/** Wall time of the ledger's 0. */
const wallStart = 1_000_000;

export function aRow(overrides: Partial<Task> = {}): Task {
  const seq = overrides.seq ?? 1;
  const attempt = overrides.attempt ?? 1;
  return aTask({
    accountId: AccountId("red"),
    functionName: FunctionName("work-1"),
    taskId: TaskId(`short-${seq}`),
    seq,
    status: "Succeeded",
    result: Buffer.from(resultOf(seq, attempt)),
    enqueuedAt: wallStart + 1_000,
    endedAt: wallStart + 3_000,
    ...overrides,
  });
}

export function aRecord(overrides: Partial<SubmissionRecord> = {}): SubmissionRecord {
  return {
    account: "red",
    taskId: "short-1",
    kind: "short",
    askedAt: 1_000,
    answeredAt: 1_005,
    firstAnswer: "accepted",
    answer: "accepted",
    knownAt: overrides.answeredAt ?? 1_005,
    ...overrides,
  };
}

export function anExecution(overrides: Partial<Execution> = {}): Execution {
  return {
    seq: 1,
    attempt: 1,
    epoch: 5,
    agentId: "agent-0",
    incarnation: 1,
    startedAt: 1_010,
    endedAt: 1_025,
    how: "ok",
    ...overrides,
  };
}

export function aLife(overrides: Partial<AgentLife> = {}): AgentLife {
  return { agentId: "agent-0", incarnation: () => 1, upAt: 0, downAt: undefined, ...overrides };
}

export interface EvidenceParts extends Partial<Omit<Evidence, "history">> {
  readonly history?: Partial<History>;
}

/** What is not given fits the rest: one agent that lives, and a history whose submissions are those of the clients. */
export function anEvidence({ history, ...rest }: EvidenceParts = {}): Evidence {
  const submissions = rest.submissions ?? [aRecord()];
  return {
    submissions,
    skipped: 0,
    counters: {},
    from: 1_000,
    until: 3_000,
    ...rest,
    history: {
      ...emptyHistory(),
      submissions: submissions.map(submissionOf),
      observations: [],
      executions: [anExecution()],
      rows: [aRow()],
      lives: [aLife()],
      wallStart,
      ...history,
    },
  };
}

function submissionOf({ account, taskId, askedAt, answer }: SubmissionRecord): Submission {
  return { account, function: "work-1", taskId, token: taskId, delayMs: 0, expiresAfterMs: 0, askedAt, answer };
}
