// The rows of tasks, and how others see them: always as copies.
import {
  type AccountId,
  assert,
  type Epoch,
  type EpochMs,
  type Flow,
  type FunctionName,
  isFinal,
  type Lane,
  type ParkReason,
  type Priority,
  type Seq,
  type Task,
  type TaskError,
  type TaskEvent,
  type TaskId,
  type TaskStatus,
} from "@sluice/core";
import type { Announcement, TaskRow } from "@sluice/store";
import { copyJson } from "./storable.ts";

/** Bytes, errors and events belong to the row; they are replaced, never changed. */
export interface Row {
  readonly seq: Seq;
  readonly accountId: AccountId;
  readonly functionName: FunctionName;
  readonly taskId: TaskId;
  /** These two change only through `Rows.move`. */
  queue: string;
  lane: Lane;
  readonly priority: Priority;
  readonly payload: Uint8Array;
  readonly submissionToken: string;
  readonly tags: readonly string[];
  /** Number of the operation that waits for its end. */
  operation: number | undefined;
  readonly enqueuedAt: EpochMs;
  readonly expiresAt: EpochMs | undefined;
  /** When it was last published to the queue. */
  announcedAt: EpochMs;
  stamp: Epoch;
  /** Never `Stopping`: that is read off `stopRequested`. */
  status: TaskStatus;
  attempt: number;
  retries: number;
  lostAttempts: number;
  dueAt: EpochMs | undefined;
  parkReason: ParkReason | undefined;
  startedAt: EpochMs | undefined;
  endedAt: EpochMs | undefined;
  stopRequested: boolean;
  result: Uint8Array;
  error: TaskError | undefined;
  agentId: string | undefined;
  instanceId: string | undefined;
  progress: string | undefined;
  /** But for the first one, which is read off `enqueuedAt`. */
  events: readonly TaskEvent[];
  eventsLeftOut: number;
}

type Key = Flow & { readonly taskId: TaskId };

export class Rows {
  readonly #bySeq = new Map<Seq, Row>();
  readonly #byKey = new Map<string, Row>();
  /** Not final, by queue, in the order of their numbers. */
  readonly #open = new Map<string, Set<Row>>();
  #lastSeq = 0;

  /** A number is taken even by a row that is then not inserted, as from a sequence. */
  nextSeq(): Seq {
    return ++this.#lastSeq;
  }

  add(row: Row): void {
    const key = keyOf(row);
    assert(!this.#byKey.has(key), "a task is inserted once");
    this.#bySeq.set(row.seq, row);
    this.#byKey.set(key, row);
    const open = this.#open.get(row.queue);
    if (open === undefined) this.#open.set(row.queue, new Set([row]));
    else open.add(row);
  }

  /** The row has become final. */
  close(row: Row): void {
    this.#open.get(row.queue)?.delete(row);
  }

  /** To another lane, perhaps of another queue; one that is not final. */
  move(row: Row, { queue, lane }: { readonly queue: string; readonly lane: Lane }): void {
    this.#open.get(row.queue)?.delete(row);
    Object.assign(row, { queue, lane });
    const open = [...(this.#open.get(queue) ?? []), row].sort((a, b) => a.seq - b.seq);
    this.#open.set(queue, new Set(open));
  }

  delete(row: Row): void {
    this.#bySeq.delete(row.seq);
    this.#byKey.delete(keyOf(row));
  }

  bySeq(seq: Seq): Row | undefined {
    return this.#bySeq.get(seq);
  }

  byKey(key: Key): Row | undefined {
    return this.#byKey.get(keyOf(key));
  }

  all(): Iterable<Row> {
    return this.#bySeq.values();
  }

  /** Rows of the queue that are not final, by number. */
  open(queue: string): Iterable<Row> {
    return this.#open.get(queue) ?? [];
  }

  *allOpen(): Iterable<Row> {
    for (const rows of this.#open.values()) yield* rows;
  }
}

/** A line break is in no id. */
export function keyOf({ accountId, functionName, taskId }: Key): string {
  return `${accountId}\n${functionName}\n${taskId}`;
}

/** The status that others see. */
export function shownStatus({ status, stopRequested }: Row): TaskStatus {
  return stopRequested && !isFinal(status) ? "Stopping" : status;
}

export function toTaskRow(row: Row): TaskRow {
  return {
    seq: row.seq,
    accountId: row.accountId,
    functionName: row.functionName,
    taskId: row.taskId,
    lane: row.lane,
    status: shownStatus(row),
    priority: row.priority,
    attempt: row.attempt,
    retries: row.retries,
    lostAttempts: row.lostAttempts,
    stamp: row.stamp,
    enqueuedAt: row.enqueuedAt,
    announcedAt: row.announcedAt,
    dueAt: row.dueAt,
    expiresAt: row.expiresAt,
    endedAt: row.endedAt,
    stopRequested: row.stopRequested,
    tags: [...row.tags],
    payload: new Uint8Array(row.payload),
  };
}

export function toAnnouncement(row: Row): Announcement {
  return {
    seq: row.seq,
    accountId: row.accountId,
    functionName: row.functionName,
    lane: row.lane,
    priority: row.priority,
    enqueuedAt: row.enqueuedAt,
  };
}

export function toTask(row: Row, include: { readonly bytes: boolean; readonly events: boolean }): Task {
  return {
    accountId: row.accountId,
    functionName: row.functionName,
    taskId: row.taskId,
    seq: row.seq,
    queue: row.queue,
    lane: row.lane,
    status: shownStatus(row),
    priority: row.priority,
    attempt: row.attempt,
    retries: row.retries,
    lostAttempts: row.lostAttempts,
    enqueuedAt: row.enqueuedAt,
    dueAt: row.dueAt,
    parkReason: row.parkReason,
    expiresAt: row.expiresAt,
    startedAt: row.startedAt,
    endedAt: row.endedAt,
    stopRequested: row.stopRequested,
    payload: include.bytes ? new Uint8Array(row.payload) : new Uint8Array(),
    result: include.bytes ? new Uint8Array(row.result) : new Uint8Array(),
    error: copyJson(row.error),
    agentId: row.agentId,
    instanceId: row.instanceId,
    progress: row.progress,
    tags: [...row.tags],
    events: include.events
      ? [{ status: "Enqueued", at: row.enqueuedAt, attempt: 0 }, ...row.events.map((event) => copyJson(event))]
      : [],
    eventsLeftOut: include.events ? row.eventsLeftOut : 0,
  };
}
