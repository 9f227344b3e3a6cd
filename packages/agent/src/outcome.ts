// Outcomes as owners hear of them.
import type { EpochMs } from "@sluice/core";
import { type AttemptOutcome, OutcomeKind } from "@sluice/protocol";
import type { Outcome } from "./instances/pool.ts";

const messageLengthMax = 8 * 1024;
const failureKinds = {
  fatal: OutcomeKind.FAILED_FATAL,
  retryable: OutcomeKind.FAILED_RETRYABLE,
  flow_control: OutcomeKind.FLOW_CONTROL,
} as const;

/** What the pool says of an attempt that ended `now`. Results and error bodies beyond the bound are not kept. */
export function outcomeOf(outcome: Outcome, now: EpochMs, resultBytesMax: number): AttemptOutcome {
  switch (outcome.kind) {
    case "succeeded":
      if (outcome.result.byteLength > resultBytesMax) return tooLarge(outcome.result.byteLength, now, resultBytesMax);
      return { ...blank(OutcomeKind.SUCCEEDED, now), result: asBuffer(outcome.result) };
    case "failed":
      return {
        ...blank(failureKinds[outcome.class], now),
        errorType: outcome.errorType,
        errorMessage: shortened(outcome.message),
        errorBody: outcome.body.byteLength > resultBytesMax ? Buffer.alloc(0) : asBuffer(outcome.body),
        retryAfterMs: Math.max(0, Math.ceil(outcome.retryAfterMs ?? 0)),
      };
    case "invalid":
      return {
        ...blank(OutcomeKind.INVALID, now),
        errorType: outcome.reason,
        errorMessage: shortened(outcome.message),
      };
    case "expired":
      return {
        ...blank(OutcomeKind.EXPIRED, now),
        errorType: "Expired",
        errorMessage: "not started before its expiry",
      };
    case "stopped":
      return stoppedOutcome(now);
  }
}

/** An owner asked for it. */
export function stoppedOutcome(now: EpochMs): AttemptOutcome {
  return blank(OutcomeKind.STOPPED, now);
}

/** The agent itself failed, not the handler. */
export function agentErrorOutcome(cause: unknown, now: EpochMs): AttemptOutcome {
  return {
    ...blank(OutcomeKind.FAILED_RETRYABLE, now),
    errorType: "AgentError",
    errorMessage: shortened(`the agent could not run the attempt: ${String(cause)}`),
  };
}

/**
 * Stopped by the agent's own shutdown, and to be run elsewhere as the next attempt: no fault of the task, however often it
 * happens.
 */
export function handedBackOutcome(now: EpochMs): AttemptOutcome {
  return {
    ...blank(OutcomeKind.FLOW_CONTROL, now),
    errorType: "AgentDraining",
    errorMessage: "the agent was shut down while the attempt ran",
  };
}

export function lostOutcome(message: string, now: EpochMs): AttemptOutcome {
  return { ...blank(OutcomeKind.LOST, now), errorType: "AgentLost", errorMessage: message };
}

function tooLarge(bytes: number, now: EpochMs, bytesMax: number): AttemptOutcome {
  // The same code returns the same result: another attempt would only repeat the work.
  const errorMessage = `The result has ${bytes} bytes; at most ${bytesMax} are kept. Store it elsewhere and return where`;
  return {
    ...blank(OutcomeKind.FAILED_FATAL, now),
    errorType: "ResultTooLarge",
    errorMessage,
    errorBody: Buffer.from(JSON.stringify({ errorMessage, errorType: "ResultTooLarge" })),
  };
}

function blank(kind: OutcomeKind, now: EpochMs): AttemptOutcome {
  const none = Buffer.alloc(0);
  return { kind, result: none, errorType: "", errorMessage: "", errorBody: none, retryAfterMs: 0, endedAtMs: now };
}

function shortened(text: string): string {
  return text.length <= messageLengthMax ? text : `${text.slice(0, messageLengthMax)}…`;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
