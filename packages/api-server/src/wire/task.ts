// Tasks between the store and the wire.
import { invalid, isFinal, type Priority, type Task, type TaskStatus } from "@sluice/core";
import { Priority as WirePriority, TaskStatus as WireStatus, type Task as WireTask } from "@sluice/protocol";
import { eventsKept } from "@sluice/store";

const statusToWire: Readonly<Record<TaskStatus, WireStatus>> = {
  Enqueued: WireStatus.ENQUEUED,
  Running: WireStatus.RUNNING,
  Retrying: WireStatus.RETRYING,
  Stopping: WireStatus.STOPPING,
  Succeeded: WireStatus.SUCCEEDED,
  Failed: WireStatus.FAILED,
  Stopped: WireStatus.STOPPED,
  Expired: WireStatus.EXPIRED,
  Invalid: WireStatus.INVALID,
};
const statusFromWire = new Map<number, TaskStatus>(
  Object.entries(statusToWire).map(([status, wire]) => [wire, status as TaskStatus]),
);

const priorityToWire = [WirePriority.URGENT, WirePriority.HIGH, WirePriority.NORMAL, WirePriority.LOW] as const;
const priorityFromWire: ReadonlyMap<number, Priority> = new Map([
  [WirePriority.UNSPECIFIED, 2],
  [WirePriority.URGENT, 0],
  [WirePriority.HIGH, 1],
  [WirePriority.NORMAL, 2],
  [WirePriority.LOW, 3],
]);

/** Throws `UNKNOWN_PRIORITY`. Unspecified means normal. */
export function parsePriority(value: number, field: string): Priority {
  const priority = priorityFromWire.get(value);
  if (priority === undefined) throw invalid("UNKNOWN_PRIORITY", field, `there is no priority ${value}; use 1 to 4`);
  return priority;
}

/** Undefined: any priority. Throws `UNKNOWN_PRIORITY`. */
export function parsePriorityFilter(value: number, field: string): Priority | undefined {
  return value === WirePriority.UNSPECIFIED ? undefined : parsePriority(value, field);
}

export function priorityOnWire(priority: Priority): WirePriority {
  return priorityToWire[priority];
}

export function statusOnWire(status: TaskStatus): WireStatus {
  return statusToWire[status];
}

/** Undefined: any status. Throws `UNKNOWN_STATUS`. */
export function parseStatus(value: number, field: string): TaskStatus | undefined {
  if (value === WireStatus.UNSPECIFIED) return undefined;
  const status = statusFromWire.get(value);
  if (status === undefined) throw invalid("UNKNOWN_STATUS", field, `there is no status ${value}; use 1 to 9`);
  return status;
}

/** What readers are told: a task that was asked to stop and has not ended is stopping, whatever its attempt does. */
export function statusOf(task: Task): TaskStatus {
  return task.stopRequested && !isFinal(task.status) ? "Stopping" : task.status;
}

export function toWireTask(task: Task): WireTask {
  return {
    function: task.functionName,
    taskId: task.taskId,
    status: statusToWire[statusOf(task)],
    priority: priorityToWire[task.priority],
    attempt: task.attempt,
    retries: task.retries,
    enqueuedAtMs: task.enqueuedAt,
    // A pause has no end that anybody knows.
    dueAtMs: task.parkReason === "pause" ? 0 : (task.dueAt ?? 0),
    parkReason: task.parkReason ?? "",
    expiresAtMs: task.expiresAt ?? 0,
    startedAtMs: task.startedAt ?? 0,
    endedAtMs: task.endedAt ?? 0,
    payload: asBuffer(task.payload),
    result: asBuffer(task.result),
    error: task.error && {
      type: task.error.type,
      message: task.error.message,
      body: Buffer.from(task.error.body, "utf8"),
    },
    agentId: task.agentId ?? "",
    instanceId: task.instanceId ?? "",
    stopRequested: task.stopRequested,
    events: task.events.map((event, index) => ({
      eventId: index + 1 + (index < eventsKept.first ? 0 : task.eventsLeftOut),
      status: event.status,
      timeMs: event.at,
      attempt: event.attempt,
      detail: event.detail === undefined ? "" : JSON.stringify(event.detail),
    })),
    progress: task.progress ?? "",
    tags: [...task.tags],
    eventsLeftOut: task.eventsLeftOut,
  };
}

/** The same bytes, not a copy. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
