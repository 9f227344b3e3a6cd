// Errors on the wire: one table from `AppError.code` to gRPC statuses, and the usual details (`google.rpc.ErrorInfo`,
// `BadRequest`, `RetryInfo`) in the trailer `grpc-status-details-bin`.
import { Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { AppError, type AppErrorDetails, type ErrorCode } from "@sluice/core";
import { RpcBadRequest, RpcErrorInfo, RpcRetryInfo, RpcStatus } from "../gen/sluice/internal/v1/error.ts";
import { connectionProblem } from "./connection-problem.ts";

const statusOf: Readonly<Record<ErrorCode, status>> = {
  invalid: status.INVALID_ARGUMENT,
  unauthenticated: status.UNAUTHENTICATED,
  forbidden: status.PERMISSION_DENIED,
  not_found: status.NOT_FOUND,
  exists: status.ALREADY_EXISTS,
  precondition: status.FAILED_PRECONDITION,
  stale: status.ABORTED,
  exhausted: status.RESOURCE_EXHAUSTED,
  unavailable: status.UNAVAILABLE,
  timeout: status.DEADLINE_EXCEEDED,
  cancelled: status.CANCELLED,
  internal: status.INTERNAL,
};
const codeOf = new Map(Object.entries(statusOf).map(([code, value]) => [value, code as ErrorCode]));

const trailer = "grpc-status-details-bin";
const errorInfoType = "type.googleapis.com/google.rpc.ErrorInfo";
const badRequestType = "type.googleapis.com/google.rpc.BadRequest";
const retryInfoType = "type.googleapis.com/google.rpc.RetryInfo";

/** Anything thrown by a handler, as the transport wants it. What is not an `AppError` is a bug and says nothing of its inside. */
export function toServiceError(cause: unknown): Error & { code: status; details: string; metadata: Metadata } {
  const error =
    cause instanceof AppError
      ? cause
      : new AppError("internal", "INTERNAL", "an internal error; see the server's log", { cause });
  const code = statusOf[error.code];
  const details = [
    {
      typeUrl: errorInfoType,
      value: Buffer.from(RpcErrorInfo.encode({ reason: error.reason, domain: "sluice", metadata: {} }).finish()),
    },
  ];
  if (error.field !== undefined) {
    const violation = { field: error.field, description: error.message };
    details.push({
      typeUrl: badRequestType,
      value: Buffer.from(RpcBadRequest.encode({ fieldViolations: [violation] }).finish()),
    });
  }
  if (error.retryAfterMs !== undefined) {
    const retryDelay = {
      seconds: Math.floor(error.retryAfterMs / 1000),
      nanos: (error.retryAfterMs % 1000) * 1_000_000,
    };
    details.push({ typeUrl: retryInfoType, value: Buffer.from(RpcRetryInfo.encode({ retryDelay }).finish()) });
  }
  const metadata = new Metadata();
  metadata.set(trailer, Buffer.from(RpcStatus.encode({ code, message: error.message, details }).finish()));
  return Object.assign(new Error(error.message, { cause }), { code, details: error.message, metadata });
}

/** The same error on the caller's side. */
export function fromServiceError(error: ServiceError): AppError {
  if (error instanceof AppError) return error;
  const code = codeOf.get(error.code) ?? "internal";
  const found = detailsOf(error.metadata);
  const details: AppErrorDetails = {
    cause: error,
    ...(found.field && { field: found.field }),
    ...(found.retryAfterMs !== undefined && { retryAfterMs: found.retryAfterMs }),
  };
  const message = error.details || error.message;
  const problem = code === "unavailable" && !found.reason ? connectionProblem(message, details) : undefined;
  return problem ?? new AppError(code, found.reason ?? status[error.code] ?? "UNKNOWN", message, details);
}

/** An oversize request message. */
export function tooLarge(bytes: number, bytesMax: number): AppError {
  return new AppError(
    "exhausted",
    "MESSAGE_TOO_LARGE",
    `the message has ${bytes} bytes, at most ${bytesMax} are accepted; send smaller batches`,
  );
}

/** A request message that is no protobuf message of its type, or holds a number beyond 2^53. */
export function undecodable(cause: unknown): AppError {
  const detail = cause instanceof Error ? cause.message : String(cause);
  return new AppError("invalid", "MALFORMED_MESSAGE", `the message cannot be decoded: ${detail}`, { cause });
}

function detailsOf(metadata: Metadata | undefined): { reason?: string; field?: string; retryAfterMs?: number } {
  const bytes = metadata?.get(trailer)[0];
  if (!Buffer.isBuffer(bytes)) return {};
  const found: { reason?: string; field?: string; retryAfterMs?: number } = {};
  for (const detail of RpcStatus.decode(bytes).details) {
    if (detail.typeUrl === errorInfoType) found.reason = RpcErrorInfo.decode(detail.value).reason;
    if (detail.typeUrl === badRequestType) {
      const field = RpcBadRequest.decode(detail.value).fieldViolations[0]?.field;
      if (field !== undefined) found.field = field;
    }
    if (detail.typeUrl === retryInfoType) {
      const delay = RpcRetryInfo.decode(detail.value).retryDelay;
      found.retryAfterMs = (delay?.seconds ?? 0) * 1000 + (delay?.nanos ?? 0) / 1_000_000;
    }
  }
  return found;
}
