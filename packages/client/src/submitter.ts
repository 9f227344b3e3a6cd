// Submissions of all callers, coalesced into batches on one stream.
//
//          add                     broken                      back-off over
//   idle ────────▶ streaming ─────────────────▶ backing off ────────────────▶ streaming
//     ▲                │ all answered                │ time for retries over: settle with an error
//     └────────────────┘◀────────────────────────────┘
//
// A submission is *pending* until it is put into a batch, then *in flight* until the batch is answered. When the stream
// breaks, everything in flight is pending again, in front and in the old order: it carries its id and its token, so the
// server accepts it once, however often it arrives.
import type { Api, SubmitStreamRequest, SubmitStreamResponse, TaskServiceService } from "@sluice/protocol";
import { AdaptiveThrottle } from "./adaptive-throttle.ts";
import { type Answer, answerFromWire } from "./answer.ts";
import { Channel } from "./channel.ts";
import {
  Cancelled,
  Internal,
  isTransient,
  OutcomeUnknown,
  Rejected,
  type SluiceError,
  TimedOut,
  toSluiceError,
  Unavailable,
} from "./errors.ts";
import type { Prepared } from "./prepare.ts";
import { backoffMs } from "./retry.ts";
import type { System } from "./system.ts";

export interface SubmitterOptions {
  /** Tasks of a message. More save little; a long batch delays its first answer. */
  readonly batchTasksMax: number;
  /** Bytes of a message; a larger task goes alone. */
  readonly batchBytesMax: number;
  /** Messages without an answer. While there are so many, submissions gather into larger batches. */
  readonly inFlightBatchesMax: number;
  /** Submissions that wait for a batch; one more is refused. */
  readonly pendingTasksMax: number;
  /** A stream that leaves a batch without an answer for so long counts as broken. */
  readonly answerTimeoutMs: number;
  /** How long a submission is repeated, from when it was added. */
  readonly retryTimeoutMs: number;
  /**
   * While the server refuses submissions of a function for its load, at most so many are sent per accepted one; the others
   * are refused here, as `LocallyThrottled`. Infinite: all are sent.
   */
  readonly sentPerAccepted: number;
}

/** Takes the answer; called once, never after `abandon`. */
export type Settle = (answer: Answer) => void;

interface Entry extends Prepared {
  /** Undefined: nobody waits for the answer any more. */
  settle: Settle | undefined;
  readonly giveUpAt: number;
}
interface Batch {
  readonly entries: readonly Entry[];
  readonly sentAt: number;
}
interface Stream {
  readonly requests: Channel<SubmitStreamRequest>;
  readonly abort: AbortController;
}

/** Reason of the refusal when `pendingTasksMax` submissions wait. */
export const tooManyPending = "TOO_MANY_PENDING";

/** Reason of the refusal of one submission of which the server does not know whether an earlier try was accepted. */
const notLookedUp = "SERVER_BUSY";

/** A stream that fails so often in a row with a bug of the server is not tried again. */
const internalFailuresMax = 5;

export class Submitter {
  readonly #api: Pick<Api<typeof TaskServiceService>, "submitStream">;
  readonly #system: System;
  readonly #options: SubmitterOptions;
  readonly #throttle: AdaptiveThrottle;
  #pending: Entry[] = [];
  #taken = 0;
  readonly #inFlight = new Map<number, Batch>();
  #batchCount = 0;
  /** Submissions whose answer somebody waits for. */
  #awaited = 0;
  #failures = 0;
  #stream: Stream | undefined;
  #isFlushScheduled = false;
  #cancelBackoff: (() => void) | undefined;
  #cancelAnswerTimer: (() => void) | undefined;
  #isClosed = false;
  #drained: (() => void) | undefined;

  constructor(api: Pick<Api<typeof TaskServiceService>, "submitStream">, system: System, options: SubmitterOptions) {
    this.#api = api;
    this.#system = system;
    this.#options = options;
    this.#throttle = new AdaptiveThrottle(system, options);
  }

  /**
   * Submits. The returned function gives up: a submission that was not sent yet is not sent any more. `isDue`: it is sent
   * even if most of its function are refused.
   */
  add(prepared: Prepared, settle: Settle, { isDue = false }: { readonly isDue?: boolean } = {}): () => void {
    const refusal = this.#refusal() ?? (isDue ? undefined : this.#throttle.refusal(prepared.wire.function));
    const giveUpAt = this.#system.monotonic() + this.#options.retryTimeoutMs;
    const entry: Entry = { ...prepared, settle, giveUpAt };
    this.#awaited += 1;
    if (refusal) {
      // Later, as every answer, so that a caller is never answered before it holds the way to give up.
      this.#system.soon(() => this.#settle(entry, { ok: false, error: refusal }));
    } else {
      this.#pending.push(entry);
      this.#scheduleFlush();
    }
    return () => {
      if (this.#forget(entry)) this.#checkDrained();
    };
  }

  /** Waits until nobody waits for an answer, then ends the stream. */
  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#awaited > 0) await new Promise<void>((resolve) => (this.#drained = resolve));
    this.#cancelBackoff?.();
    this.#cancelAnswerTimer?.();
    this.#stream?.requests.close();
    this.#stream?.abort.abort();
    this.#stream = undefined;
  }

  #refusal(): SluiceError | undefined {
    if (this.#isClosed) return new Cancelled("cancelled", "CLIENT_CLOSED", "the client is closed; connect again");
    if (this.#pending.length - this.#taken < this.#options.pendingTasksMax) return undefined;
    const message = `${this.#options.pendingTasksMax} submissions are waiting; use submitMany, which waits for room`;
    return new Unavailable("unavailable", tooManyPending, message, { retryAfterMs: 100 });
  }

  #scheduleFlush(): void {
    if (this.#isFlushScheduled || this.#cancelBackoff || this.#inFlight.size >= this.#options.inFlightBatchesMax)
      return;
    this.#isFlushScheduled = true;
    // Not at once: callers that are about to submit in this turn share the batch.
    this.#system.soon(() => {
      this.#isFlushScheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    while (!this.#cancelBackoff && this.#inFlight.size < this.#options.inFlightBatchesMax) {
      const entries = this.#takeBatch();
      if (entries.length === 0) break;
      this.#batchCount += 1;
      this.#inFlight.set(this.#batchCount, { entries, sentAt: this.#system.monotonic() });
      this.#stream ??= this.#open();
      this.#stream.requests.push({ batchId: this.#batchCount, tasks: entries.map((entry) => entry.wire) });
    }
    this.#watchAnswers();
  }

  #takeBatch(): Entry[] {
    const entries: Entry[] = [];
    let bytes = 0;
    for (; this.#taken < this.#pending.length && entries.length < this.#options.batchTasksMax; this.#taken += 1) {
      const entry = this.#pending[this.#taken] as Entry;
      if (!entry.settle) continue;
      if (entries.length > 0 && bytes + entry.bytes > this.#options.batchBytesMax) break;
      entries.push(entry);
      bytes += entry.bytes;
    }
    // Cutting the taken part off after every batch would copy the rest each time.
    if (this.#taken * 2 >= this.#pending.length) {
      this.#pending = this.#pending.slice(this.#taken);
      this.#taken = 0;
    }
    return entries;
  }

  #open(): Stream {
    const stream: Stream = { requests: new Channel(), abort: new AbortController() };
    void this.#read(stream);
    return stream;
  }

  /** Never rejects: what goes wrong breaks the stream. */
  async #read(stream: Stream): Promise<void> {
    let error: SluiceError = new Unavailable("unavailable", "STREAM_ENDED", "the server ended the stream");
    try {
      for await (const response of this.#api.submitStream(stream.requests, { signal: stream.abort.signal })) {
        this.#answered(response);
      }
    } catch (cause) {
      error = toSluiceError(cause);
    }
    if (this.#stream === stream) this.#broken(error);
  }

  #answered({ batchId, results }: SubmitStreamResponse): void {
    const batch = this.#inFlight.get(batchId);
    if (!batch) return;
    if (results.length !== batch.entries.length) {
      const counts = `${results.length} answers to ${batch.entries.length} submissions`;
      throw new Internal("internal", "WRONG_ANSWER", `the server sent ${counts}`);
    }
    this.#inFlight.delete(batchId);
    this.#failures = 0;
    batch.entries.forEach((entry, index) => {
      const answer = answerFromWire(results[index]?.outcome);
      this.#throttle.answered(entry.wire.function, answer.ok ? undefined : answer.error);
      this.#settle(entry, asFarAsKnown(entry, answer));
    });
    this.#watchAnswers();
    if (this.#pending.length > this.#taken) this.#scheduleFlush();
  }

  #broken(error: SluiceError): void {
    this.#stream?.requests.close();
    this.#stream?.abort.abort();
    this.#stream = undefined;
    const sent = [...this.#inFlight.values()].flatMap((batch) => batch.entries);
    for (const { tries } of sent) tries.isUnanswered = true;
    const waiting = this.#pending.slice(this.#taken);
    this.#inFlight.clear();
    this.#watchAnswers();
    this.#failures += 1;
    const isHopeful = isTransient(error) || (isBug(error) && this.#failures < internalFailuresMax);
    // Only what was sent can have caused the failure; the rest may do better.
    const open = isHopeful ? [...sent, ...waiting] : waiting;
    const now = this.#system.monotonic();
    this.#pending = open.filter((entry) => entry.giveUpAt > now);
    this.#taken = 0;
    if (this.#pending.length > 0) this.#backOff(error);
    for (const entry of open) {
      if (entry.giveUpAt <= now) this.#settle(entry, { ok: false, error: new OutcomeUnknown(entry.wire, error) });
    }
    if (!isHopeful) for (const entry of sent) this.#settle(entry, { ok: false, error });
  }

  #backOff(error: SluiceError): void {
    const delayMs = Math.max(error.retryAfterMs ?? 0, backoffMs(this.#failures - 1, this.#system.random()));
    this.#cancelBackoff = this.#system.timer(delayMs, () => {
      this.#cancelBackoff = undefined;
      this.#scheduleFlush();
    });
  }

  /** Keeps one timer, for the oldest batch, while there is one. */
  #watchAnswers(): void {
    const oldest = this.#inFlight.values().next().value;
    if (!oldest) {
      this.#cancelAnswerTimer?.();
      this.#cancelAnswerTimer = undefined;
      return;
    }
    if (this.#cancelAnswerTimer) return;
    const leftMs = oldest.sentAt + this.#options.answerTimeoutMs - this.#system.monotonic();
    this.#cancelAnswerTimer = this.#system.timer(Math.max(1, leftMs), () => {
      this.#cancelAnswerTimer = undefined;
      const first = this.#inFlight.values().next().value;
      if (first && this.#system.monotonic() - first.sentAt >= this.#options.answerTimeoutMs) {
        this.#broken(new TimedOut("timeout", "NO_ANSWER", `no answer within ${this.#options.answerTimeoutMs} ms`));
      }
      this.#watchAnswers();
    });
  }

  #settle(entry: Entry, answer: Answer): void {
    const settle = this.#forget(entry);
    settle?.(answer);
    this.#checkDrained();
  }

  /** From now on nobody waits for the entry; returns who did. */
  #forget(entry: Entry): Settle | undefined {
    const { settle } = entry;
    entry.settle = undefined;
    if (settle) this.#awaited -= 1;
    return settle;
  }

  #checkDrained(): void {
    if (this.#awaited === 0) this.#drained?.();
  }
}

/**
 * A refusal that passes does not say that nothing was submitted if the server has not looked for an earlier try of somebody
 * else, or may be at work still on one of ours.
 */
function asFarAsKnown({ wire, isNew, tries }: Entry, answer: Answer): Answer {
  if (answer.ok || !(answer.error instanceof Rejected) || answer.error.retryAfterMs === undefined) return answer;
  const isKnown = !tries.isUnanswered && (isNew || answer.error.reason !== notLookedUp);
  return isKnown ? answer : { ok: false, error: new OutcomeUnknown(wire, answer.error) };
}

/** A failure of the server that may be gone with the next try; a method that it does not have is not. */
function isBug(error: SluiceError): boolean {
  return error instanceof Internal && error.reason !== "UNIMPLEMENTED";
}
