// What becomes of a task when an attempt has ended: the write that settles it, or parks it for the next attempt. Pure but
// for the dice of the back-off.
import { decideRetry, type EpochMs, type FinalStatus, type Random, type TaskError, type TaskEvent } from "@sluice/core";
import { type AttemptOutcome, OutcomeKind } from "@sluice/protocol";
import type { ParkWrite, SettleWrite } from "@sluice/store";
import type { ActiveTask } from "./memory.ts";

export interface Ended {
  readonly outcome: AttemptOutcome;
  readonly startedAt: EpochMs | undefined;
  readonly agentId: string | undefined;
  readonly instanceId: string | undefined;
}

export interface OutcomeFacts {
  readonly now: EpochMs;
  readonly maxAsyncRetryAttempts: number;
  readonly lostAttemptsMax: number;
  readonly random: Random;
}

export function outcomeWrite(task: ActiveTask, ended: Ended, facts: OutcomeFacts): SettleWrite | ParkWrite {
  const { outcome } = ended;
  switch (outcome.kind) {
    case OutcomeKind.SUCCEEDED:
      return finalWrite(task, "Succeeded", ended, facts.now);
    case OutcomeKind.STOPPED:
      return task.stopMarked ? finalWrite(task, "Stopped", ended, facts.now) : preemptedWrite(task, ended, facts);
    case OutcomeKind.EXPIRED:
      return finalWrite(task, "Expired", ended, facts.now);
    case OutcomeKind.INVALID:
      return finalWrite(task, "Invalid", ended, facts.now);
    case OutcomeKind.FAILED_FATAL:
      return failedWrite(task, ended, "fatal", facts);
    case OutcomeKind.FLOW_CONTROL:
      return failedWrite(task, ended, "flow_control", facts);
    case OutcomeKind.LOST:
      return failedWrite(task, ended, "lost", facts);
    default:
      return failedWrite(task, ended, "retryable", facts);
  }
}

/**
 * Stopped, and no user asked for it: its agent stopped it for a task that is urgent. It goes on as the next attempt, like one that
 * met flow control. If a user has asked meanwhile, the mark on its row ends it where it is parked.
 */
function preemptedWrite(task: ActiveTask, ended: Ended, facts: OutcomeFacts): SettleWrite | ParkWrite {
  const errorType = "Preempted";
  const errorMessage = "stopped to make room for a task that is urgent";
  const outcome = { ...ended.outcome, errorType, errorMessage };
  return failedWrite(task, { ...ended, outcome }, "flow_control", facts);
}

/** The end of a task that was never started, or whose attempt ended it. */
export function finalWrite(task: ActiveTask, status: FinalStatus, ended: Ended | undefined, now: EpochMs): SettleWrite {
  const error = ended ? errorOf(ended.outcome) : undefined;
  const events = runEvents(task, ended);
  events.push({ status, at: endOf(ended, now), attempt: task.attempt, ...detailOf(error) });
  return {
    kind: "settle",
    seq: task.seq,
    attempt: task.attempt,
    lane: task.origin.lane,
    status,
    result: ended?.outcome.result ?? new Uint8Array(),
    error,
    startedAt: ended?.startedAt,
    agentId: ended?.agentId,
    instanceId: ended?.instanceId,
    events,
  };
}

/** An attempt whose agent is gone. */
export function lostWrite(task: ActiveTask, facts: OutcomeFacts): SettleWrite | ParkWrite {
  const outcome: AttemptOutcome = {
    kind: OutcomeKind.LOST,
    result: Buffer.alloc(0),
    errorType: "AgentLost",
    errorMessage: "the agent that ran the attempt is gone",
    errorBody: Buffer.alloc(0),
    retryAfterMs: 0,
    endedAtMs: 0,
  };
  return failedWrite(
    task,
    { outcome, startedAt: undefined, agentId: task.agentId, instanceId: undefined },
    "lost",
    facts,
  );
}

/** A task that ends without an attempt, with an error of our own. */
export function refusedWrite(
  task: ActiveTask,
  status: "Expired" | "Invalid" | "Stopped",
  error: TaskError | undefined,
  now: EpochMs,
): SettleWrite {
  return {
    ...finalWrite(task, status, undefined, now),
    error,
    events: [{ status, at: now, attempt: task.attempt, ...detailOf(error) }],
  };
}

function failedWrite(
  task: ActiveTask,
  ended: Ended,
  errorClass: "fatal" | "retryable" | "flow_control" | "lost",
  facts: OutcomeFacts,
): SettleWrite | ParkWrite {
  const { attempt, retries, lostAttempts } = task;
  const retry = decideRetry(
    {
      class: errorClass,
      retries,
      lostAttempts,
      throttledAttempts: Math.max(0, attempt - 1 - retries - lostAttempts),
      ...(ended.outcome.retryAfterMs > 0 && { retryAfterMs: ended.outcome.retryAfterMs }),
      config: { maxAsyncRetryAttempts: facts.maxAsyncRetryAttempts, lostAttemptsMax: facts.lostAttemptsMax },
    },
    facts.random,
  );
  if (retry.kind === "give_up") return finalWrite(task, "Failed", ended, facts.now);
  const error = errorOf(ended.outcome);
  const dueAt = facts.now + retry.delayMs;
  // Only errors of the function show as Retrying: a task that waits for room is still Enqueued.
  const status = errorClass === "flow_control" ? "Enqueued" : "Retrying";
  return {
    kind: "park",
    seq: task.seq,
    attempt: task.attempt,
    lane: task.origin.lane,
    status,
    dueAt,
    reason: errorClass === "flow_control" ? "throttle" : "backoff",
    nextAttempt: task.attempt + 1,
    retries: retry.retries,
    lostAttempts: retry.lostAttempts,
    error,
    events: [
      ...runEvents(task, ended),
      { status, at: endOf(ended, facts.now), attempt: task.attempt, detail: { ...error, nextRetryAt: dueAt } },
    ],
  };
}

function runEvents(task: ActiveTask, ended: Ended | undefined): TaskEvent[] {
  const events: TaskEvent[] = [];
  const { attempt } = task;
  if (task.dequeuedAt !== undefined) events.push({ status: "Dequeued", at: task.dequeuedAt, attempt });
  if (ended?.startedAt !== undefined) {
    const detail = { agentId: ended.agentId, instanceId: ended.instanceId };
    events.push({ status: "Running", at: ended.startedAt, attempt, detail });
  }
  return events;
}

function errorOf(outcome: AttemptOutcome): TaskError | undefined {
  if (outcome.errorType === "") return undefined;
  return {
    type: outcome.errorType,
    message: outcome.errorMessage,
    body: Buffer.from(outcome.errorBody).toString("utf8"),
  };
}

function endOf(ended: Ended | undefined, now: EpochMs): EpochMs {
  return ended && ended.outcome.endedAtMs > 0 ? ended.outcome.endedAtMs : now;
}

function detailOf(error: TaskError | undefined): { detail?: Record<string, unknown> } {
  return error ? { detail: { type: error.type, message: error.message } } : {};
}
