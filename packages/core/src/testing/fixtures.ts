// Builders that state only what matters to a test.
import { AccountId, type Flow, FunctionName, TaskId } from "../ids.ts";
import type { Task } from "../task/task.ts";

export const fixtureStart = Date.UTC(2026, 0, 1);

/** `main/echo`, or with other names. */
export function aFlow(names: { readonly account?: string; readonly function?: string } = {}): Flow {
  return { accountId: AccountId(names.account ?? "main"), functionName: FunctionName(names.function ?? "echo") };
}

/** A task that was just accepted. */
export function aTask(overrides: Partial<Task> = {}): Task {
  return {
    ...aFlow(),
    taskId: TaskId(`task-${overrides.seq ?? 1}`),
    seq: 1,
    queue: "q0",
    lane: 0,
    status: "Enqueued",
    priority: 2,
    attempt: 1,
    retries: 0,
    lostAttempts: 0,
    enqueuedAt: fixtureStart,
    dueAt: undefined,
    parkReason: undefined,
    expiresAt: undefined,
    startedAt: undefined,
    endedAt: undefined,
    stopRequested: false,
    payload: new Uint8Array(),
    result: new Uint8Array(),
    error: undefined,
    agentId: undefined,
    instanceId: undefined,
    progress: undefined,
    tags: [],
    events: [],
    eventsLeftOut: 0,
    ...overrides,
  };
}
