import type { SubmitResult as WireResult } from "@sluice/protocol";
import { DuplicateTask, Internal, Rejected, type SluiceError } from "./errors.ts";
import { taskFromWire } from "./wire.ts";

/** What became of one submission. */
export type Answer =
  | { readonly ok: true; readonly taskId: string; readonly repeated: boolean }
  | { readonly ok: false; readonly error: SluiceError };

export function answerFromWire(outcome: WireResult["outcome"]): Answer {
  switch (outcome?.$case) {
    case "accepted":
      return { ok: true, taskId: outcome.value.taskId, repeated: outcome.value.repeated };
    case "duplicate":
      return outcome.value.existing
        ? { ok: false, error: new DuplicateTask(taskFromWire(outcome.value.existing)) }
        : wrong("a duplicate without its task");
    case "rejected": {
      const { reason, message, field, retryAfterMs } = outcome.value;
      // The path within the batch means nothing to the caller, who submitted one task.
      const ownField = field.replace(/^tasks\[\d+\]\.?/, "") || undefined;
      return {
        ok: false,
        error: new Rejected(reason, message, { field: ownField, retryAfterMs: retryAfterMs || undefined }),
      };
    }
    case undefined:
      return wrong("an answer that this client does not know");
  }
}

function wrong(what: string): Answer {
  return { ok: false, error: new Internal("internal", "WRONG_ANSWER", `the server sent ${what}; update the client`) };
}
