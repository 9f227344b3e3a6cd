/**
 * What kind of failure it is; one table in `protocol` maps it to a gRPC status, another one will map it to HTTP.
 * `unavailable`, `timeout` and `exhausted` may be tried again; the others fail again.
 */
export type ErrorCode =
  | "invalid"
  | "unauthenticated"
  | "forbidden"
  | "not_found"
  | "exists"
  | "precondition"
  | "stale"
  | "exhausted"
  | "unavailable"
  | "timeout"
  | "cancelled"
  | "internal";

export interface AppErrorDetails extends ErrorOptions {
  /** Path of the field that is wrong, such as `tasks[3].payload`. */
  readonly field?: string;
  /** Milliseconds to wait before another try. */
  readonly retryAfterMs?: number;
}

/**
 * An expected failure. `reason` is stable, in upper case with underscores, and documented in `docs/errors.md`; `message`
 * is for people and says what to do.
 */
export class AppError extends Error {
  override readonly name: string = "AppError";
  readonly code: ErrorCode;
  readonly reason: string;
  readonly field: string | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, reason: string, message: string, details: AppErrorDetails = {}) {
    super(message, details);
    this.code = code;
    this.reason = reason;
    this.field = details.field;
    this.retryAfterMs = details.retryAfterMs;
  }
}

/** Shorthand for the most common failure: a field of a request that is wrong. */
export function invalid(reason: string, field: string, message: string): AppError {
  return new AppError("invalid", reason, message, { field });
}

/** Whether the same call may succeed later without any change. */
export function isRetryable(error: unknown): boolean {
  return (
    error instanceof AppError &&
    (error.code === "unavailable" || error.code === "timeout" || error.code === "exhausted")
  );
}
