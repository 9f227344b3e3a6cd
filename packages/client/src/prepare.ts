import { createHash } from "node:crypto";
import type { TaskSubmission } from "@sluice/protocol";
import { Rejected } from "./errors.ts";
import type { System } from "./system.ts";
import type { Submission } from "./types.ts";
import { wirePriority } from "./wire.ts";

/** A submission as it is sent, every time the same: with its id and its token. */
export interface Prepared {
  readonly wire: TaskSubmission;
  /** An upper bound of its size on the wire. */
  readonly bytes: number;
  /** Its token was made here, for this submission: nobody else can have submitted it before. */
  readonly isNew: boolean;
  readonly tries: Tries;
}

/** What the submitter notes of a submission that may come to it again. */
export interface Tries {
  /** One was sent and never answered: the server may have accepted it, or be at work on it still. */
  isUnanswered: boolean;
}

/** gRPC's limit of a message, less the frame around a single task. */
const submissionBytesMax = 4 * 1024 * 1024 - 1024;

/**
 * Fills in what makes a submission repeatable. The store refuses a second task by its id and forgives it by its token, so
 * a submission without an id gets one here: if the server made it, a repeat would be another task.
 *
 * The returned function throws `Rejected` for what cannot even be sent; whatever the server can judge, it judges.
 */
export function createPreparer(system: System): (submission: Submission) => Prepared {
  const session = system.uniqueText().slice(0, 16);
  let count = 0;
  return (submission) => {
    count += 1;
    const payload = bytesOf(submission.payload);
    const submissionToken = textOf("submissionToken", submission.submissionToken) || `${session}.${count.toString(36)}`;
    const wire: TaskSubmission = {
      function: textOf("function", submission.function),
      taskId: textOf("taskId", submission.taskId) || makeTaskId(submission),
      payload,
      priority: wirePriority(submission.priority),
      delayMs: millisecondsOf("delayMs", submission.delayMs),
      expiresAfterMs: millisecondsOf("expiresAfterMs", submission.expiresAfterMs),
      submissionToken,
      tags: [...(submission.tags ?? [])],
    };
    const bytes = payload.length + 3 * (wire.function.length + wire.taskId.length + submissionToken.length) + 48;
    if (bytes > submissionBytesMax) {
      const message = `the task has ${bytes} bytes, at most ${submissionBytesMax} can be sent; pass a reference instead`;
      throw new Rejected("PAYLOAD_TOO_LARGE", message, { field: "payload" });
    }
    return { wire, bytes, isNew: !submission.submissionToken, tries: { isUnanswered: false } };
  };

  function makeTaskId(submission: Submission): string {
    // A token that the caller chose must lead to the same task from every process, so the id follows from it.
    if (submission.submissionToken)
      return `t-${createHash("sha256").update(submission.submissionToken).digest("hex").slice(0, 32)}`;
    // Ids that grow with time keep the store's index dense.
    return `t-${system.now().toString(36)}-${session}-${count.toString(36)}`;
  }
}

function bytesOf(payload: unknown): Buffer {
  if (payload === undefined) return Buffer.alloc(0);
  if (typeof payload === "string") return Buffer.from(payload);
  if (payload instanceof Uint8Array) return Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
  throw new Rejected("INVALID_PAYLOAD", "the payload must be a Uint8Array or a text; use JSON.stringify for a value", {
    field: "payload",
  });
}

function textOf(field: string, value: unknown): string {
  if (value === undefined) return "";
  if (typeof value === "string") return value;
  throw new Rejected("INVALID_ARGUMENT", `${field} must be a text`, { field });
}

/** A number that the wire cannot carry would fail the whole stream, not only its task. */
function millisecondsOf(field: string, value: unknown): number {
  if (value === undefined) return 0;
  if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number;
  throw new Rejected("INVALID_DURATION", `${field} must be a whole number of milliseconds, 0 or more`, { field });
}
