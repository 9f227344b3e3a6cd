import type { TaskStatus } from "./task.ts";

/**
 * What happens in a task's life. `docs/task-lifecycle.md` explains each, and a test holds its table against this file.
 */
export const lifeEvents = [
  "started",
  "succeeded",
  "failed_with_retries_left",
  "failed_for_good",
  "throttled",
  "lost",
  "lost_too_often",
  "parked",
  "unparked",
  "stop_requested",
  "stopped",
  "expired",
  "invalid",
] as const;
export type LifeEvent = (typeof lifeEvents)[number];

/**
 * The status after an event; undefined: the event cannot happen, or comes too late, and must change nothing.
 *
 * `Running` is written only for attempts that take longer than a second, so an attempt may end from `Enqueued` and
 * `Retrying` as well.
 */
export function transition(status: TaskStatus, event: LifeEvent): TaskStatus | undefined {
  switch (status) {
    case "Enqueued":
    case "Retrying":
      return whileWaiting(status, event);
    case "Running":
      return whileRunning(event);
    case "Stopping":
      return whileStopping(event);
    case "Succeeded":
    case "Failed":
    case "Stopped":
    case "Expired":
    case "Invalid":
      return undefined;
  }
}

function whileWaiting(status: "Enqueued" | "Retrying", event: LifeEvent): TaskStatus | undefined {
  switch (event) {
    case "started":
      return "Running";
    case "expired":
      return "Expired";
    case "invalid":
      return "Invalid";
    case "parked":
    case "unparked":
      return status;
    case "succeeded":
    case "failed_with_retries_left":
    case "failed_for_good":
    case "throttled":
    case "lost":
    case "lost_too_often":
    case "stop_requested":
      return afterAttempt(event);
    // Nobody asked for it.
    case "stopped":
      return undefined;
  }
}

function whileRunning(event: LifeEvent): TaskStatus | undefined {
  switch (event) {
    // Reported again, with progress or to a new owner.
    case "started":
      return "Running";
    case "succeeded":
    case "failed_with_retries_left":
    case "failed_for_good":
    case "throttled":
    case "lost":
    case "lost_too_often":
    case "stop_requested":
      return afterAttempt(event);
    // Only what waits is parked, expires, or turns out not to be runnable.
    case "parked":
    case "unparked":
    case "expired":
    case "invalid":
    case "stopped":
      return undefined;
  }
}

type AttemptEvent = Exclude<LifeEvent, "started" | "parked" | "unparked" | "stopped" | "expired" | "invalid">;

function afterAttempt(event: AttemptEvent): TaskStatus {
  switch (event) {
    case "succeeded":
      return "Succeeded";
    case "failed_with_retries_left":
    case "lost":
      return "Retrying";
    case "failed_for_good":
    case "lost_too_often":
      return "Failed";
    // The function did not fail; there was no room for it.
    case "throttled":
      return "Enqueued";
    case "stop_requested":
      return "Stopping";
  }
}

/** Whoever asked to stop is told `Stopping` until it is over; an attempt that ends before the stop reaches it counts. */
function whileStopping(event: LifeEvent): TaskStatus {
  switch (event) {
    case "started":
    case "failed_with_retries_left":
    case "throttled":
    case "lost":
    case "parked":
    case "unparked":
    case "stop_requested":
      return "Stopping";
    case "succeeded":
      return "Succeeded";
    case "failed_for_good":
    case "lost_too_often":
      return "Failed";
    case "stopped":
      return "Stopped";
    case "expired":
      return "Expired";
    case "invalid":
      return "Invalid";
  }
}
