import type { EpochMs } from "../clock.ts";
import type { AccountId, FunctionName, Seq, TaskId } from "../ids.ts";
import type { Lane } from "../placement/partition.ts";

/** What a task is doing (`docs/task-lifecycle.md`). */
export const taskStatuses = [
  "Enqueued",
  "Running",
  "Retrying",
  "Stopping",
  "Succeeded",
  "Failed",
  "Stopped",
  "Expired",
  "Invalid",
] as const;
export type TaskStatus = (typeof taskStatuses)[number];

/** The statuses that end a task; they are never overwritten. */
export const finalStatuses = ["Succeeded", "Failed", "Stopped", "Expired", "Invalid"] as const;
export type FinalStatus = (typeof finalStatuses)[number];

export function isFinal(status: TaskStatus): status is FinalStatus {
  return (finalStatuses as readonly TaskStatus[]).includes(status);
}

/** 0 urgent, 1 high, 2 normal, 3 low. */
export type Priority = 0 | 1 | 2 | 3;
export const priorities = [0, 1, 2, 3] as const;

/** Why a waiting task is parked in the store instead of in the queue. */
export const parkReasons = ["delay", "pause", "overflow", "throttle", "backoff"] as const;
export type ParkReason = (typeof parkReasons)[number];

/** Why an attempt or a task failed. */
export interface TaskError {
  /** Stable, such as `UnhandledInvocationError` or `AgentLost`. */
  readonly type: string;
  readonly message: string;
  /** The error body of the handler as JSON text; empty if it made none. */
  readonly body: string;
}

/** One step of a task's life. `Dequeued` appears here only. */
export interface TaskEvent {
  readonly status: TaskStatus | "Dequeued";
  readonly at: EpochMs;
  /** From 1; 0 if the step belongs to no attempt. */
  readonly attempt: number;
  readonly detail?: Readonly<Record<string, unknown>>;
}

/** A task as users see it. */
export interface Task {
  readonly accountId: AccountId;
  readonly functionName: FunctionName;
  readonly taskId: TaskId;
  readonly seq: Seq;
  readonly queue: string;
  readonly lane: Lane;
  readonly status: TaskStatus;
  readonly priority: Priority;
  /** The current attempt, from 1. */
  readonly attempt: number;
  /** Failed attempts that were retried; bounded by `maxAsyncRetryAttempts`. */
  readonly retries: number;
  /** Attempts that were lost with their agent; bounded by `lostAttemptsMax`. */
  readonly lostAttempts: number;
  readonly enqueuedAt: EpochMs;
  /** Parked until then; undefined: not parked. */
  readonly dueAt: EpochMs | undefined;
  readonly parkReason: ParkReason | undefined;
  readonly expiresAt: EpochMs | undefined;
  readonly startedAt: EpochMs | undefined;
  readonly endedAt: EpochMs | undefined;
  readonly stopRequested: boolean;
  readonly payload: Uint8Array;
  readonly result: Uint8Array;
  readonly error: TaskError | undefined;
  readonly agentId: string | undefined;
  readonly instanceId: string | undefined;
  readonly progress: string | undefined;
  /** As they were submitted. */
  readonly tags: readonly string[];
  readonly events: readonly TaskEvent[];
  /** How many events are left out after the 50th. */
  readonly eventsLeftOut: number;
}
