// Failures as Function Compute words them: a status, a `Code` that its SDKs know, and when to try again.
import { AppError, type ErrorCode } from "@sluice/core";
import type { HttpAnswer } from "@sluice/runtime";

interface Form {
  readonly status: number;
  readonly code: string;
}

const formOfCode: Readonly<Record<ErrorCode, Form>> = {
  invalid: { status: 400, code: "InvalidArgument" },
  unauthenticated: { status: 403, code: "AccessDenied" },
  forbidden: { status: 403, code: "AccessDenied" },
  not_found: { status: 404, code: "NotFound" },
  exists: { status: 409, code: "AlreadyExists" },
  precondition: { status: 412, code: "PreconditionFailed" },
  stale: { status: 409, code: "ConcurrentUpdateError" },
  exhausted: { status: 429, code: "ResourceExhausted" },
  unavailable: { status: 503, code: "ServiceUnavailable" },
  timeout: { status: 503, code: "ServiceUnavailable" },
  cancelled: { status: 499, code: "ClientClosedRequest" },
  internal: { status: 500, code: "InternalServerError" },
};

const formOfReason: Readonly<Record<string, Form>> = {
  PATH_NOT_SUPPORTED: { status: 400, code: "PathNotSupported" },
  PAYLOAD_TOO_LARGE: { status: 400, code: "EntityTooLarge" },
  INVALID_CREDENTIAL: { status: 403, code: "SignatureNotMatch" },
  INVALID_SIGNATURE: { status: 403, code: "SignatureNotMatch" },
  FUNCTION_NOT_FOUND: { status: 404, code: "FunctionNotFound" },
  VERSION_NOT_FOUND: { status: 404, code: "VersionNotFound" },
  TASK_NOT_FOUND: { status: 404, code: "AsyncTaskNotFound" },
  TASK_EXISTS: { status: 409, code: "AsyncTaskAlreadyExists" },
};

/** What the fields of a submission are called here. */
const nameOfField: Readonly<Record<string, string>> = {
  "task.function": "functionName",
  "task.task_id": "x-fc-async-task-id",
  "task.delay_ms": "x-fc-async-delay",
  "task.payload": "body",
  task_id: "taskId",
  task_id_prefix: "prefix",
  page_token: "nextToken",
};

/** `Reason`, that of docs/errors.md, and `Field` are ours. */
export function answerToError(cause: unknown, requestId: string): HttpAnswer {
  // What is no `AppError` is a bug, and says nothing of its inside.
  const error =
    cause instanceof AppError ? cause : new AppError("internal", "INTERNAL", "an internal error; see the server's log");
  const field = error.field === undefined ? undefined : (nameOfField[error.field] ?? error.field);
  const message = field === undefined ? error.message : `${field}: ${error.message}`;
  const { status, code } = formOfReason[error.reason] ?? formOfCode[error.code];
  return {
    status,
    headers: { ...headersOf(requestId), ...retryHeaders(error.retryAfterMs) },
    body: JSON.stringify({ Code: code, Message: message, RequestId: requestId, Reason: error.reason, Field: field }),
  };
}

export function headersOf(requestId: string): Readonly<Record<string, string>> {
  return { "content-type": "application/json; charset=utf-8", "x-fc-request-id": requestId };
}

/** In whole seconds, rounded up, for everybody (RFC 9110, 10.2.3), and in milliseconds for the SDKs of Alibaba Cloud. */
function retryHeaders(retryAfterMs: number | undefined): Readonly<Record<string, string>> {
  if (retryAfterMs === undefined) return {};
  return {
    "retry-after": String(Math.ceil(retryAfterMs / 1_000)),
    "x-acs-retry-after": String(Math.ceil(retryAfterMs)),
  };
}
