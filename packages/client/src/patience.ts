import type { Answer } from "./answer.ts";
import { LocallyThrottled, OutcomeUnknown, Rejected, type SluiceError } from "./errors.ts";
import type { Prepared } from "./prepare.ts";
import { type Settle, type Submitter, tooManyPending } from "./submitter.ts";
import type { System } from "./system.ts";

export interface PatiencePorts {
  readonly submitter: Submitter;
  readonly system: System;
  /** What may have been accepted comes again for so long, whoever wants to wait. */
  readonly retryTimeoutMs: number;
}

/** Whoever waits is not held up here for ever: the last ones of a bulk would starve behind the refusals of those before. */
const localRefusalsMax = 4;

/**
 * Submits, and again after the delay that the server, or the client itself, asks for: as long as the next try lies before
 * `until`, in monotonic ms; or within the time for retries, while an earlier try may have been accepted. The returned function
 * gives up.
 */
export function addPatiently(
  { submitter, system, retryTimeoutMs }: PatiencePorts,
  prepared: Prepared,
  { until, settle }: { readonly until: () => number; readonly settle: Settle },
): () => void {
  let giveUp = () => {};
  let localRefusals = 0;
  let isUnknown = false;
  const retryUntil = system.monotonic() + retryTimeoutMs;
  const submit = () => {
    // That it was not sent now would say nothing of an earlier try.
    giveUp = submitter.add(prepared, onAnswer, { isDue: isUnknown || localRefusals >= localRefusalsMax });
  };
  const onAnswer = (answer: Answer) => {
    localRefusals = !answer.ok && answer.error instanceof LocallyThrottled ? localRefusals + 1 : 0;
    isUnknown = !answer.ok && answer.error instanceof OutcomeUnknown;
    const delayMs = answer.ok ? undefined : askedDelayMs(answer.error);
    // Not all at once: they were refused together.
    const laterMs = (delayMs ?? 0) * (1 + system.random() / 2);
    const latest = isUnknown ? Math.max(retryUntil, until()) : until();
    if (delayMs === undefined || system.monotonic() + laterMs > latest) settle(answer);
    else giveUp = system.timer(laterMs, submit);
  };
  submit();
  return () => giveUp();
}

/** Undefined: another try does not help. */
function askedDelayMs(error: SluiceError): number | undefined {
  const isAsked = error instanceof Rejected || error instanceof OutcomeUnknown || error.reason === tooManyPending;
  return isAsked ? error.retryAfterMs : undefined;
}
