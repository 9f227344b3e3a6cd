// What api-servers do with tasks.
import { assert } from "@sluice/core";
import type { InsertOutcome, NewTask, TaskFilter, TaskRecords, TaskSelection } from "@sluice/store";
import { addEvents } from "./events.ts";
import type { Model } from "./model-store.ts";
import { keyOf, type Row, shownStatus, toTask } from "./rows.ts";
import { assertBatch, storable } from "./storable.ts";
import { inOrder } from "./tables.ts";

const everything = { bytes: true, events: true };
const lean = { bytes: false, events: false };

export function taskRecords(model: Model): TaskRecords {
  const { rows } = model.tables;
  return {
    async insert(tasks) {
      return insert(model, tasks);
    },
    async get(key) {
      const row = rows.byKey(storableKey(key));
      return row && toTask(row, everything);
    },
    async list(filter) {
      assertBatch(filter.limit, "list");
      const found = [...rows.all()].filter(fits(filter)).sort(orderOf(filter)).slice(0, filter.limit);
      return found.map((row) => toTask(row, { bytes: filter.includePayload, events: false }));
    },
    async requestStop(key) {
      const row = rows.byKey(storableKey(key));
      if (row === undefined) return undefined;
      if (row.endedAt === undefined && !row.stopRequested) {
        row.stopRequested = true;
        addEvents(row, [{ status: "Stopping", at: model.now(), attempt: row.attempt }]);
      }
      return toTask(row, everything);
    },
    async known(keys) {
      assertBatch(keys, "known");
      return keys.filter((key) => rows.byKey(storableKey(key)) !== undefined);
    },
    async settled(attempts) {
      assertBatch(attempts, "settled");
      return attempts.filter(({ seq, attempt }) => {
        const row = rows.bySeq(seq);
        return row === undefined || row.endedAt !== undefined || row.attempt > attempt;
      });
    },
    async countWaiting(accountId, limit) {
      let waiting = 0;
      for (const row of rows.allOpen()) {
        if (row.accountId === accountId) waiting++;
      }
      return Math.min(waiting, limit);
    },
  };
}

/** Numbers are given in the order of the keys, and taken also by tasks that turn out to be known. */
function insert(model: Model, given: readonly NewTask[]): InsertOutcome[] {
  assertBatch(given, "insert");
  const { rows } = model.tables;
  const tasks = given.map(storableTask);
  const firsts = new Map<string, { readonly task: NewTask; readonly index: number }>();
  for (const [index, task] of tasks.entries()) {
    const key = keyOf(task);
    if (!firsts.has(key)) firsts.set(key, { task, index });
  }
  const inserted = new Map<number, Row>();
  for (const [, { task, index }] of [...firsts].sort(([a], [b]) => inOrder(a, b))) {
    const row = newRow(model, task);
    if (rows.byKey(row) !== undefined) continue;
    rows.add(row);
    inserted.set(index, row);
  }
  return tasks.map((task, index): InsertOutcome => {
    const row = inserted.get(index);
    if (row !== undefined) return { kind: "inserted", seq: row.seq, enqueuedAt: row.enqueuedAt };
    const existing = rows.byKey(task);
    assert(existing !== undefined, "what was not inserted is there");
    // A token with half of a surrogate pair is not the one that was kept.
    const token = given[index]?.submissionToken;
    const isRepeated = token !== "" && token === existing.submissionToken;
    return isRepeated ? { kind: "repeated" } : { kind: "duplicate", existing: toTask(existing, lean) };
  });
}

function newRow({ tables, now }: Model, task: NewTask): Row {
  const enqueuedAt = now();
  const isParked = task.delayMs > 0;
  return {
    seq: tables.rows.nextSeq(),
    accountId: task.accountId,
    functionName: task.functionName,
    taskId: task.taskId,
    queue: task.queue,
    lane: task.lane,
    priority: task.priority,
    payload: new Uint8Array(task.payload),
    submissionToken: task.submissionToken,
    tags: task.tags,
    operation: undefined,
    enqueuedAt,
    announcedAt: enqueuedAt,
    expiresAt: task.expiresAfterMs > 0 ? enqueuedAt + Math.max(task.delayMs, 0) + task.expiresAfterMs : undefined,
    stamp: tables.floors.get(task.queue)?.[task.lane] ?? 0,
    status: "Enqueued",
    attempt: 1,
    retries: 0,
    lostAttempts: 0,
    dueAt: isParked ? enqueuedAt + task.delayMs : undefined,
    parkReason: isParked ? "delay" : undefined,
    startedAt: undefined,
    endedAt: undefined,
    stopRequested: false,
    result: new Uint8Array(),
    error: undefined,
    agentId: undefined,
    instanceId: undefined,
    progress: undefined,
    events: [],
    eventsLeftOut: 0,
  };
}

function storableTask(task: NewTask): NewTask {
  const { queue, submissionToken, tags } = task;
  const texts = { queue: storable(queue), submissionToken: storable(submissionToken), tags: tags.map(storable) };
  return { ...task, ...storableKey(task), ...texts };
}

function storableKey<Key extends Pick<NewTask, "accountId" | "functionName" | "taskId">>(key: Key) {
  return {
    accountId: storable(key.accountId) as Key["accountId"],
    functionName: storable(key.functionName) as Key["functionName"],
    taskId: storable(key.taskId) as Key["taskId"],
  };
}

function fits(filter: TaskFilter): (row: Row) => boolean {
  const { after } = filter;
  const behind = orderOf(filter);
  const selected = selects(filter);
  return (row) => selected(row) && (after === undefined || behind(row, after) > 0);
}

/** Whether a task is one of those that are meant. */
export function selects(selection: TaskSelection): (row: Row) => boolean {
  const { accountId, functionName, status, enqueuedFrom, enqueuedUntil, priority, tag } = selection;
  const prefix = storable(selection.taskIdPrefix ?? "");
  return (row) =>
    row.accountId === accountId &&
    (functionName === undefined || row.functionName === functionName) &&
    (status === undefined || shownStatus(row) === status) &&
    (enqueuedFrom === undefined || row.enqueuedAt >= enqueuedFrom) &&
    (enqueuedUntil === undefined || row.enqueuedAt < enqueuedUntil) &&
    (priority === undefined || row.priority === priority) &&
    (tag === undefined || row.tags.includes(tag)) &&
    row.taskId.startsWith(prefix);
}

type Place = Pick<Row, "enqueuedAt" | "seq">;

function orderOf({ order }: TaskFilter): (a: Place, b: Place) => number {
  const direction = order === "newest" ? -1 : 1;
  return (a, b) => direction * (a.enqueuedAt - b.enqueuedAt || a.seq - b.seq);
}
