// How tasks look in the table, and back.
import {
  type AccountId,
  AppError,
  type EpochMs,
  type FunctionName,
  type ParkReason,
  type Priority,
  type Task,
  type TaskError,
  type TaskEvent,
  type TaskId,
  type TaskStatus,
} from "@sluice/core";
import type { Announcement, TaskRow } from "./index.ts";

/**
 * Codes of the column `status`; final ones from 10 on. `Stopping` is never stored: it is read off `stop_requested`, so that
 * the status below it is not lost.
 */
export const statusCodes: Readonly<Record<TaskStatus, number>> = {
  Enqueued: 0,
  Running: 1,
  Retrying: 2,
  Stopping: 3,
  Succeeded: 10,
  Failed: 11,
  Stopped: 12,
  Expired: 13,
  Invalid: 14,
};
const statusOf = new Map(Object.entries(statusCodes).map(([name, code]) => [code, name as TaskStatus]));

/** `Unknown`: a newer release, whose services run beside this one's, has written a code that is not known here. */
function taskStatus(row: { readonly status: number; readonly stop_requested: boolean }): TaskStatus | "Unknown" {
  const status = statusOf.get(row.status);
  if (status === undefined) return "Unknown";
  return row.stop_requested && row.status < statusCodes.Succeeded ? "Stopping" : status;
}

/** Rejects rather than tells users something wrong: asked again, a service of the newer release may answer. */
function knownStatus(row: { readonly status: number; readonly stop_requested: boolean }): TaskStatus {
  const status = taskStatus(row);
  if (status !== "Unknown") return status;
  throw new AppError("unavailable", "STATUS_TOO_NEW", `a newer release gave the task the status ${row.status}`);
}

/** The same in SQL, word for word as in the index tasks_status. */
export function shownStatus(table: string): string {
  const { Stopping } = statusCodes;
  return `(case when ${table}.stop_requested and ${table}.ended_at is null then ${Stopping} else ${table}.status end)`;
}

// ------------------------------------------------------------------------------------------------------ for their owners

export interface TaskRowColumns {
  readonly seq: number;
  readonly account_id: string;
  readonly function_name: string;
  readonly task_id: string;
  readonly lane: number;
  readonly status: number;
  readonly priority: number;
  readonly attempt: number;
  readonly retries: number;
  readonly lost_attempts: number;
  readonly stamp: number;
  readonly enqueued_at: number;
  readonly announced_at: number;
  readonly due_at: number | null;
  readonly expires_at: number | null;
  readonly ended_at: number | null;
  readonly stop_requested: boolean;
  readonly tags: readonly string[] | null;
  readonly payload: Uint8Array;
}

export function taskRowColumns(table: string): string {
  return [
    "seq",
    "account_id",
    "function_name",
    "task_id",
    "lane",
    "status",
    "priority",
    "attempt",
    "retries",
    "lost_attempts",
    "stamp",
    "enqueued_at",
    "announced_at",
    "due_at",
    "expires_at",
    "ended_at",
    "stop_requested",
    "payload",
  ]
    .map((column) => `${table}.${column}`)
    .concat(tagsColumn(table))
    .join(", ");
}

export function toTaskRow(row: TaskRowColumns): TaskRow {
  return {
    seq: row.seq,
    accountId: row.account_id as AccountId,
    functionName: row.function_name as FunctionName,
    taskId: row.task_id as TaskId,
    lane: row.lane,
    status: taskStatus(row),
    priority: row.priority as Priority,
    attempt: row.attempt,
    retries: row.retries,
    lostAttempts: row.lost_attempts,
    stamp: row.stamp,
    enqueuedAt: row.enqueued_at,
    announcedAt: row.announced_at,
    dueAt: row.due_at ?? undefined,
    expiresAt: row.expires_at ?? undefined,
    endedAt: row.ended_at ?? undefined,
    stopRequested: row.stop_requested,
    tags: row.tags ?? [],
    payload: row.payload,
  };
}

/** As JSON: drivers parse no arrays of texts. */
function tagsColumn(table: string): string {
  return `to_jsonb(${table}.tags) as tags`;
}

export interface AnnouncementColumns {
  readonly seq: number;
  readonly account_id: string;
  readonly function_name: string;
  readonly lane: number;
  readonly priority: number;
  readonly enqueued_at: number;
}

export function announcementColumns(table: string): string {
  return `${table}.seq, ${table}.account_id, ${table}.function_name, ${table}.lane, ${table}.priority, ${table}.enqueued_at`;
}

export function toAnnouncement(row: AnnouncementColumns): Announcement {
  return {
    seq: row.seq,
    accountId: row.account_id as AccountId,
    functionName: row.function_name as FunctionName,
    lane: row.lane,
    priority: row.priority as Priority,
    enqueuedAt: row.enqueued_at,
  };
}

// -------------------------------------------------------------------------------------------------------------- for users

export interface TaskColumns extends Omit<TaskRowColumns, "stamp"> {
  readonly queue: string;
  readonly park_reason: string | null;
  readonly started_at: number | null;
  readonly result: Uint8Array | null;
  readonly error: TaskError | null;
  readonly agent_id: string | null;
  readonly instance_id: string | null;
  readonly progress: string | null;
  readonly events: readonly TaskEvent[] | null;
  readonly events_left_out: number | null;
}

/** Columns of a `Task`; what is not asked for is empty, and not read from the disk. */
export function taskColumns(
  table: string,
  include: { readonly payload: boolean; readonly result: boolean; readonly events: boolean },
): string {
  return [
    ...["seq", "account_id", "function_name", "task_id", "queue", "lane", "status", "priority", "attempt", "retries"],
    ...["lost_attempts", "enqueued_at", "due_at", "park_reason", "expires_at", "started_at", "ended_at"],
    ...["stop_requested", "error", "agent_id", "instance_id", "progress"],
  ]
    .map((column) => `${table}.${column}`)
    .concat([
      tagsColumn(table),
      include.payload ? `${table}.payload` : "''::bytea as payload",
      include.result ? `${table}.result` : "null::bytea as result",
      include.events
        ? `${table}.events, ${table}.events_left_out`
        : "null::jsonb as events, null::int4 as events_left_out",
    ])
    .join(", ");
}

export function toTask(row: TaskColumns, include: { readonly events: boolean }): Task {
  return {
    accountId: row.account_id as AccountId,
    functionName: row.function_name as FunctionName,
    taskId: row.task_id as TaskId,
    seq: row.seq,
    queue: row.queue,
    lane: row.lane,
    status: knownStatus(row),
    priority: row.priority as Priority,
    attempt: row.attempt,
    retries: row.retries,
    lostAttempts: row.lost_attempts,
    enqueuedAt: row.enqueued_at,
    dueAt: row.due_at ?? undefined,
    parkReason: (row.park_reason as ParkReason | null) ?? undefined,
    expiresAt: row.expires_at ?? undefined,
    startedAt: row.started_at ?? undefined,
    endedAt: row.ended_at ?? undefined,
    stopRequested: row.stop_requested,
    payload: row.payload,
    result: row.result ?? nothing,
    error: row.error ?? undefined,
    agentId: row.agent_id ?? undefined,
    instanceId: row.instance_id ?? undefined,
    progress: row.progress ?? undefined,
    tags: row.tags ?? [],
    events: include.events ? [acceptance(row.enqueued_at), ...(row.events ?? [])] : [],
    eventsLeftOut: row.events_left_out ?? 0,
  };
}

const nothing = new Uint8Array();

/** The first step of every task. It is not stored: it would cost every insert some 60 bytes that say nothing new. */
function acceptance(enqueuedAt: EpochMs): TaskEvent {
  return { status: "Enqueued", at: enqueuedAt, attempt: 0 };
}

/**
 * Text that the database cannot hold (NULs, halves of surrogate pairs) made harmless. For what handlers say, such as
 * messages and progress: refusing it would hold up the whole batch of the owner that writes it.
 */
export function cleanText(text: string): string {
  return text.replace(unstorable, "\u{fffd}");
}
const unstorable = /\0|\p{Surrogate}/gu;

/** A value as JSON text that the database can hold. */
export function cleanJson(value: unknown): string {
  const text = JSON.stringify(value);
  // Stringify escapes exactly what has to go, so the common case costs one search instead of a visit to every part.
  if (!suspicious.test(text)) return text;
  return JSON.stringify(value, (_, part: unknown) => (typeof part === "string" ? cleanText(part) : part));
}
const suspicious = /\\u(0000|d[89a-f])/;
