// The ways in which an attempt fails, with the error bodies that clients of Function Compute know.
import type { Outcome } from "./pool.ts";

export type Failed = Extract<Outcome, { kind: "failed" }>;

export const stopped: Outcome = { kind: "stopped" };
export const expired: Outcome = { kind: "expired" };

/** The process went away below the handler: it exited, crashed, was killed, or ran out of memory. */
export function crashed(durationMs: number, memoryPeakMb: number): Failed {
  const usage = `duration: ${Math.round(durationMs)}ms, maxMemoryUsage: ${memoryPeakMb}MB`;
  return unhandled(`Process exited unexpectedly before completing request (${usage})`);
}

export function timedOut(timeoutMs: number, memoryPeakMb: number): Failed {
  const message = `Function timed out after ${timeoutMs / 1000} seconds (maxMemoryUsage: ${memoryPeakMb}MB)`;
  return { ...unhandled(message), errorType: "FunctionTimeout" };
}

export function initializerTimedOut(timeoutMs: number): Failed {
  return initializationFailed({ errorMessage: `Function initializer timed out after ${timeoutMs / 1000} seconds` });
}

export function startTimedOut(timeoutMs: number): Failed {
  return initializationFailed({ errorMessage: `The instance did not start within ${timeoutMs / 1000} seconds` });
}

export function initializationFailed(body: ErrorBody): Failed {
  return { ...withBody(body, "retryable"), errorType: "InitializationError" };
}

/** The agent could not even try: nothing of the user's has run. */
export function notStarted(message: string): Failed {
  return { ...unhandled(message), errorType: "InstanceUnavailable" };
}

export function protocolViolated(message: string): Failed {
  return unhandled(`The instance sent ${message} where only its runner may write`);
}

/** What the runner says of a start that failed. */
export function startFailed(json: Uint8Array): Failed {
  const report = parse(json);
  const body = bodyOf(report.body);
  if (report.stage === "initialize") return initializationFailed(body);
  return withBody(body, report.isFatal === true ? "fatal" : "retryable");
}

/** What the runner says of a request that failed. User code can write to the runner's pipe, so nothing is trusted. */
export function requestFailed(json: Uint8Array, resultBytesMax: number): Failed {
  const report = parse(json);
  const body = bodyOf(report.body);
  if (report.kind === "too_large") return resultTooLarge(Number(report.bytes), resultBytesMax);
  if (report.kind === "flow_control") {
    const retryAfterMs = Number(report.retryAfterMs);
    const failure: Failed = { ...withBody(body, "flow_control"), errorType: "FlowControlError" };
    return retryAfterMs >= 0 && Number.isFinite(retryAfterMs) ? { ...failure, retryAfterMs } : failure;
  }
  const failure = withBody(body, report.isFatal === true ? "fatal" : "retryable");
  return report.kind === "handled" ? { ...failure, errorType: "HandledInvocationError" } : failure;
}

/** The runner has checked the size, but a handler that writes to its pipe has not. */
export function succeeded(result: Uint8Array, bytesMax: number): Outcome {
  if (result.byteLength > bytesMax) return resultTooLarge(result.byteLength, bytesMax);
  return { kind: "succeeded", result };
}

function resultTooLarge(bytes: number, bytesMax: number): Failed {
  // The same code returns the same result: another attempt would only repeat the work.
  const errorMessage = `The result has ${bytes} bytes; at most ${bytesMax} are kept. Store it elsewhere and return where`;
  return { ...withBody({ errorMessage, errorType: "ResultTooLarge" }, "fatal"), errorType: "ResultTooLarge" };
}

interface ErrorBody {
  readonly errorMessage: string;
  readonly [field: string]: unknown;
}

function unhandled(errorMessage: string): Failed {
  return withBody({ errorMessage }, "retryable");
}

function withBody(body: ErrorBody, failureClass: Failed["class"]): Failed {
  const json = Buffer.from(JSON.stringify(body));
  return {
    kind: "failed",
    errorType: "UnhandledInvocationError",
    message: body.errorMessage,
    body: json,
    class: failureClass,
  };
}

function bodyOf(value: unknown): ErrorBody {
  const body = typeof value === "object" && value !== null ? value : {};
  return { ...body, errorMessage: "errorMessage" in body ? String(body.errorMessage) : "unknown error" };
}

type Report = Partial<Record<"stage" | "kind" | "isFatal" | "bytes" | "retryAfterMs" | "body", unknown>>;

function parse(json: Uint8Array): Report {
  try {
    const value: unknown = JSON.parse(Buffer.from(json).toString());
    return typeof value === "object" && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}
