import type { Answer } from "./answer.ts";
import { LocallyThrottled, Rejected, type SluiceError } from "./errors.ts";
import type { Prepared } from "./prepare.ts";
import { type Settle, type Submitter, tooManyPending } from "./submitter.ts";
import type { System } from "./system.ts";

export interface PatiencePorts {
  readonly submitter: Submitter;
  readonly system: System;
}

/** Whoever waits is not held up here for ever: the last ones of a bulk would starve behind the refusals of those before. */
const localRefusalsMax = 4;

/**
 * Submits, and again after the delay that the server, or the client itself, asks for: as long as the next try lies before
 * `until`, in monotonic ms. The returned function gives up.
 */
export function addPatiently(
  { submitter, system }: PatiencePorts,
  prepared: Prepared,
  { until, settle }: { readonly until: () => number; readonly settle: Settle },
): () => void {
  let giveUp = () => {};
  let localRefusals = 0;
  const submit = () => {
    giveUp = submitter.add(prepared, onAnswer, { isDue: localRefusals >= localRefusalsMax });
  };
  const onAnswer = (answer: Answer) => {
    localRefusals = !answer.ok && answer.error instanceof LocallyThrottled ? localRefusals + 1 : 0;
    const delayMs = answer.ok ? undefined : askedDelayMs(answer.error);
    // Not all at once: they were refused together.
    const laterMs = (delayMs ?? 0) * (1 + system.random() / 2);
    if (delayMs === undefined || system.monotonic() + laterMs > until()) settle(answer);
    else giveUp = system.timer(laterMs, submit);
  };
  submit();
  return () => giveUp();
}

/** Undefined: another try does not help. */
function askedDelayMs(error: SluiceError): number | undefined {
  return error instanceof Rejected || error.reason === tooManyPending ? error.retryAfterMs : undefined;
}
