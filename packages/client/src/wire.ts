// Conversions between what users see and the wire.
import {
  type FunctionMessage,
  LogStream,
  type TaskLogChunk,
  type TaskSelector,
  Priority as WirePriority,
  RouteState as WireRouteState,
  type FunctionSettings as WireSettings,
  TaskStatus as WireStatus,
  type Task as WireTask,
} from "@sluice/protocol";
import { InvalidArgument, Rejected } from "./errors.ts";
import type {
  FunctionInfo,
  FunctionSettings,
  LogChunk,
  Priority,
  RouteState,
  Task,
  TaskSelection,
  TaskStatus,
} from "./types.ts";

const statusToWire = {
  Enqueued: WireStatus.ENQUEUED,
  Running: WireStatus.RUNNING,
  Retrying: WireStatus.RETRYING,
  Stopping: WireStatus.STOPPING,
  Succeeded: WireStatus.SUCCEEDED,
  Failed: WireStatus.FAILED,
  Stopped: WireStatus.STOPPED,
  Expired: WireStatus.EXPIRED,
  Invalid: WireStatus.INVALID,
} as const;
const statusFromWire = new Map<number, TaskStatus>(
  Object.entries(statusToWire).map(([name, value]) => [value, name as TaskStatus]),
);

const priorityToWire = {
  urgent: WirePriority.URGENT,
  high: WirePriority.HIGH,
  normal: WirePriority.NORMAL,
  low: WirePriority.LOW,
} as const;
const priorityFromWire = new Map<number, Priority>(
  Object.entries(priorityToWire).map(([name, value]) => [value, name as Priority]),
);

/** Throws `INVALID_STATUS`: callers without a type checker must not filter by nothing in silence. */
export function wireStatus(status: TaskStatus | undefined): WireStatus {
  if (status === undefined) return WireStatus.UNSPECIFIED;
  if (Object.hasOwn(statusToWire, status)) return statusToWire[status as keyof typeof statusToWire];
  const message = `${JSON.stringify(status)} is not a status; use one of ${Object.keys(statusToWire).join(", ")}`;
  throw new InvalidArgument("invalid", "INVALID_STATUS", message, { field: "status" });
}

/** Throws `InvalidArgument` on an empty text: on the wire it would filter nothing, and an unset variable would mean every task. */
export function selectionToWire(selection: TaskSelection): TaskSelector {
  for (const name of ["function", "taskIdPrefix", "tag"] as const) {
    if (selection[name] !== "") continue;
    const message = `${name} is empty; leave it out to mean any`;
    throw new InvalidArgument("invalid", "INVALID_FILTER", message, { field: name });
  }
  return {
    function: selection.function ?? "",
    status: wireStatus(selection.status),
    enqueuedFromMs: selection.enqueuedFromMs ?? 0,
    enqueuedUntilMs: selection.enqueuedUntilMs ?? 0,
    taskIdPrefix: selection.taskIdPrefix ?? "",
    tag: selection.tag ?? "",
    priority: wirePriority(selection.priority),
  };
}

/** Without what does not filter. */
export function selectionFromWire(wire: TaskSelector): TaskSelection {
  const status = statusFromWire.get(wire.status);
  const priority = priorityFromWire.get(wire.priority);
  return {
    ...(wire.function !== "" && { function: wire.function }),
    ...(status !== undefined && status !== "Unknown" && { status }),
    ...(wire.enqueuedFromMs !== 0 && { enqueuedFromMs: wire.enqueuedFromMs }),
    ...(wire.enqueuedUntilMs !== 0 && { enqueuedUntilMs: wire.enqueuedUntilMs }),
    ...(wire.taskIdPrefix !== "" && { taskIdPrefix: wire.taskIdPrefix }),
    ...(wire.tag !== "" && { tag: wire.tag }),
    ...(priority !== undefined && { priority }),
  };
}

/** Throws `INVALID_PRIORITY`. */
export function wirePriority(priority: Priority | undefined): WirePriority {
  if (priority === undefined) return WirePriority.UNSPECIFIED;
  if (Object.hasOwn(priorityToWire, priority)) return priorityToWire[priority];
  const message = `${JSON.stringify(priority)} is not a priority; use one of ${Object.keys(priorityToWire).join(", ")}`;
  throw new Rejected("INVALID_PRIORITY", message, { field: "priority" });
}

export function taskFromWire(task: WireTask): Task {
  return {
    function: task.function,
    taskId: task.taskId,
    status: statusFromWire.get(task.status) ?? "Unknown",
    priority: priorityFromWire.get(task.priority) ?? "normal",
    attempt: task.attempt,
    retries: task.retries,
    enqueuedAtMs: task.enqueuedAtMs,
    dueAtMs: task.dueAtMs || undefined,
    parkReason: task.parkReason || undefined,
    expiresAtMs: task.expiresAtMs || undefined,
    startedAtMs: task.startedAtMs || undefined,
    endedAtMs: task.endedAtMs || undefined,
    payload: task.payload,
    result: task.result,
    error: task.error && { type: task.error.type, message: task.error.message, body: task.error.body.toString() },
    agentId: task.agentId || undefined,
    instanceId: task.instanceId || undefined,
    stopRequested: task.stopRequested,
    events: task.events,
    eventsLeftOut: task.eventsLeftOut,
    progress: task.progress || undefined,
    tags: task.tags,
  };
}

export function logChunkFromWire(chunk: TaskLogChunk): LogChunk {
  return {
    attempt: chunk.attempt,
    stream: chunk.stream === LogStream.STDERR ? "stderr" : "stdout",
    timeMs: chunk.timeMs,
    data: chunk.data,
  };
}

export function settingsToWire({ environment, initializer, preStop, ...plain }: FunctionSettings): WireSettings {
  return {
    ...plain,
    environment: environment && { variables: { ...environment } },
    initializer: initializer && { timeoutMs: 0, ...initializer },
    preStop: preStop && { timeoutMs: 0, ...preStop },
  };
}

const routeStates = new Map<number, RouteState>([
  [WireRouteState.OPENING, "opening"],
  [WireRouteState.OPEN, "open"],
  [WireRouteState.FOLDING, "folding"],
]);

export function routeStateFromWire(state: number): RouteState {
  return routeStates.get(state) ?? "unknown";
}

export function functionFromWire(message: FunctionMessage): FunctionInfo {
  const { settings, queue, ...rest } = message;
  const known = queue && {
    name: queue.name || undefined,
    state: queue.name === "" ? undefined : routeStateFromWire(queue.state),
    reason: queue.reason || undefined,
    withheld: queue.withheld || undefined,
  };
  return { ...rest, settings: settings ? settingsFromWire(settings) : {}, ...(known && { queue: known }) };
}

function settingsFromWire({ environment, ...plain }: WireSettings): FunctionSettings {
  // What the server did not set is absent, not undefined: users spread settings into an update.
  const present = Object.fromEntries(Object.entries(plain).filter(([, value]) => value !== undefined));
  return { ...present, ...(environment && { environment: environment.variables }) };
}
