import { fromServiceError } from "@sluice/protocol";
import type { Task } from "./types.ts";

/** What kind of failure it is. The class of the error tells the same. */
export type SluiceErrorCode =
  | "duplicate"
  | "rejected"
  | "invalid"
  | "unauthenticated"
  | "forbidden"
  | "not_found"
  | "exists"
  | "precondition"
  | "exhausted"
  | "unavailable"
  | "timeout"
  | "cancelled"
  | "internal";

export interface SluiceErrorDetails extends ErrorOptions {
  readonly field?: string | undefined;
  readonly retryAfterMs?: number | undefined;
}

/**
 * Every failure that the client reports, except an abort: a call whose signal aborts throws the signal's reason.
 * `reason` is stable, in upper case, such as `FUNCTION_NOT_FOUND`; `message` is for people.
 */
export class SluiceError extends Error {
  override readonly name: string;
  readonly code: SluiceErrorCode;
  readonly reason: string;
  /** Path of the field that is wrong. */
  readonly field: string | undefined;
  /** Milliseconds to wait before another try; undefined: another try does not help, or the time is not known. */
  readonly retryAfterMs: number | undefined;

  constructor(code: SluiceErrorCode, reason: string, message: string, details: SluiceErrorDetails = {}) {
    super(message, details);
    this.name = new.target.name;
    this.code = code;
    this.reason = reason;
    this.field = details.field;
    this.retryAfterMs = details.retryAfterMs;
  }
}

/** The task id belongs to a task that exists; nothing was submitted. */
export class DuplicateTask extends SluiceError {
  /** The task that has the id, without payload, result and events. */
  readonly existing: Task;
  constructor(existing: Task) {
    const place = `${existing.function}/${existing.taskId}`;
    super("duplicate", "TASK_EXISTS", `task ${place} exists already (${existing.status}); choose another id`);
    this.existing = existing;
  }
}

/** The submission was refused; nothing was submitted. */
export class Rejected extends SluiceError {
  constructor(reason: string, message: string, details: SluiceErrorDetails = {}) {
    super("rejected", reason, message, details);
  }
}

/**
 * The submission was not even sent: the server has refused so many of this function's lately that it would most likely refuse
 * this one. A submission after `retryAfterMs` has a chance.
 */
export class LocallyThrottled extends Rejected {
  constructor(functionName: string, { requests, accepts, retryAfterMs }: LocalThrottle) {
    const counts = `the server accepted ${accepts} of the last ${requests} submissions of ${functionName}`;
    super("CLIENT_THROTTLED", `not sent: ${counts}; submit it again later`, { retryAfterMs });
  }
}
interface LocalThrottle {
  readonly requests: number;
  readonly accepts: number;
  readonly retryAfterMs: number;
}

/** A request is wrong; `field` says where. */
export class InvalidArgument extends SluiceError {}
/** The credential is missing or wrong. */
export class Unauthenticated extends SluiceError {}
/** The credential may not do this. */
export class Forbidden extends SluiceError {}
/** The task or function does not exist. */
export class NotFound extends SluiceError {}
/** The name is taken. */
export class AlreadyExists extends SluiceError {}
/** The state of the system forbids it. */
export class FailedPrecondition extends SluiceError {}
/** Too much at once; `retryAfterMs` says when to try again, if that is known. */
export class Exhausted extends SluiceError {}
/** The server cannot be reached, and the time for retries is over. A change may or may not have happened. */
export class Unavailable extends SluiceError {}
/** Both sides do not agree on TLS; `reason` tells how, the message what to do. It is not tried again. */
export class TlsFailed extends Unavailable {}
/** No answer in time. A change may or may not have happened. */
export class TimedOut extends SluiceError {}
/** The server ended the call, or the client was closed. */
export class Cancelled extends SluiceError {}
/** A bug of the server, or an answer that this client does not understand. */
export class Internal extends SluiceError {}

/** `wait` ran into its time-out; the task goes on. */
export class WaitTimedOut extends TimedOut {
  /** The task as it was at the end. */
  readonly task: Task;
  constructor(task: Task, timeoutMs: number) {
    const place = `${task.function}/${task.taskId}`;
    super("timeout", "WAIT_TIMED_OUT", `task ${place} is ${task.status} after ${timeoutMs} ms; it goes on`);
    this.task = task;
  }
}

/**
 * The outcome of a submission is not known: it was sent, but before the time for retries ended no answer came, or only such as
 * do not say whether an earlier try was accepted. Submitting again with this `taskId` and this `submissionToken` is safe.
 */
export class OutcomeUnknown extends Unavailable {
  readonly taskId: string;
  readonly submissionToken: string;
  constructor(submission: { readonly taskId: string; readonly submissionToken: string }, cause: SluiceError) {
    const advice = "it is safe to submit again with the same task id and token";
    super("unavailable", cause.reason, `no answer for task ${submission.taskId}: ${cause.message}; ${advice}`, {
      cause,
      retryAfterMs: cause.retryAfterMs,
    });
    this.taskId = submission.taskId;
    this.submissionToken = submission.submissionToken;
  }
}

const classOf = {
  invalid: InvalidArgument,
  unauthenticated: Unauthenticated,
  forbidden: Forbidden,
  not_found: NotFound,
  exists: AlreadyExists,
  precondition: FailedPrecondition,
  stale: FailedPrecondition,
  exhausted: Exhausted,
  unavailable: Unavailable,
  timeout: TimedOut,
  cancelled: Cancelled,
  internal: Internal,
} as const;

/** Only people can change what is wrong with these. */
const tlsReasons: ReadonlySet<string> = new Set([
  "TLS_NOT_SPOKEN",
  "CERTIFICATE_WRONG_HOST",
  "CERTIFICATE_EXPIRED",
  "CERTIFICATE_UNTRUSTED",
  "CLIENT_CERTIFICATE_REFUSED",
]);

/** Any failure of a call as an error of the client. */
export function toSluiceError(cause: unknown): SluiceError {
  if (cause instanceof SluiceError) return cause;
  const failure = fromServiceError(cause as Parameters<typeof fromServiceError>[0]);
  const code = failure.code === "stale" ? "precondition" : failure.code;
  const errorClass = tlsReasons.has(failure.reason) ? TlsFailed : classOf[failure.code];
  return new errorClass(code, failure.reason, failure.message, {
    cause,
    field: failure.field,
    retryAfterMs: failure.retryAfterMs,
  });
}

/** Whether the same call may succeed soon without any change. */
export function isTransient(error: SluiceError): boolean {
  if (error instanceof Exhausted) return error.retryAfterMs !== undefined;
  if (error instanceof TlsFailed) return false;
  return error instanceof Unavailable || error instanceof Cancelled || error instanceof TimedOut;
}
