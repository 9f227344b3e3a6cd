// Builders of histories that state only what matters to a test.
import type { OwnedPartition } from "@sluice/core";
import { aTask } from "@sluice/core/testing";
import type { SettleWrite, TaskWrite } from "@sluice/store";
import type { Execution } from "./history.ts";
import { emptyHistory, type History, type Inserted, resultOf, type Submission, type Written } from "./history.ts";

export const owner: OwnedPartition = { queue: "q0", prefix: "", epoch: 5 };
export const successor: OwnedPartition = { ...owner, epoch: 9 };

/** Of which everything was recorded. */
export function history(overrides: Partial<History>): History {
  const rest = { at: 0, alive: [], found: [] };
  const nothing = { submissions: [], observations: [], executions: [], rows: [], lives: [], store: [], agents: [] };
  return {
    ...emptyHistory(),
    ...nothing,
    stops: [],
    views: [],
    claims: [],
    functions: [],
    limits: [],
    sends: [],
    pauses: [],
    rest,
    calm: [],
    ...overrides,
  };
}

export function inserted(overrides: Partial<Inserted> = {}): Inserted {
  return {
    kind: "inserted",
    at: 0,
    seq: 1,
    account: "main",
    function: "echo",
    taskId: "task-1",
    queue: "q0",
    lane: 0,
    priority: 2,
    enqueuedAt: 0,
    dueAt: undefined,
    expiresAt: undefined,
    tags: [],
    ...overrides,
  };
}

export function submitted(overrides: Partial<Submission> = {}): Submission {
  return {
    account: "main",
    function: "echo",
    taskId: "task-1",
    token: "token-1",
    delayMs: 0,
    expiresAfterMs: 0,
    askedAt: 0,
    answer: "accepted",
    ...overrides,
  };
}

export function settle(overrides: Partial<SettleWrite> = {}): SettleWrite {
  return {
    kind: "settle",
    seq: 1,
    attempt: 1,
    lane: 0,
    status: "Succeeded",
    result: new Uint8Array(),
    error: undefined,
    startedAt: undefined,
    agentId: undefined,
    instanceId: undefined,
    events: [],
    ...overrides,
  };
}

export function park(nextAttempt: number, dueAt = 0): TaskWrite {
  return {
    kind: "park",
    seq: 1,
    attempt: 1,
    lane: 0,
    status: "Retrying",
    dueAt,
    reason: "backoff",
    nextAttempt,
    retries: 1,
    lostAttempts: 0,
    error: undefined,
    events: [],
  };
}

export function written(write: TaskWrite, overrides: Partial<Written> = {}): Written {
  return { kind: "written", at: 100, by: "s1.1", owner, write, applied: true, ...overrides };
}

export function run(overrides: Partial<Execution> = {}): Execution {
  return {
    seq: 1,
    attempt: 1,
    epoch: 5,
    agentId: "a1",
    incarnation: 1,
    startedAt: 10,
    endedAt: 20,
    how: "ok",
    ...overrides,
  };
}

export const succeeded = aTask({ status: "Succeeded", result: Buffer.from(resultOf(1, 1)) });
