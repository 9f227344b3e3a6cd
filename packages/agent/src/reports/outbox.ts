// What waits to be sent on one stream.
//
// Attempts are queued by reference and put into frames only when the stream can take one: what has piled up meanwhile
// shares a frame, and an attempt whose lane another stream has taken over is left out.
import { AppError } from "@sluice/core";
import type { AgentStatus, AttemptOutcome, FromAgent } from "@sluice/protocol";
import { type Attempt, outcomeBytes } from "../gate/attempt.ts";
import type { Origin } from "../gate/lanes.ts";

export interface OutboxParts {
  readonly streamId: number;
  /** Reports that may wait; beyond it the stream is ended. */
  readonly backlogMax: number;
  readonly frameAttemptsMax: number;
  readonly frameBytesMax: number;
  reporterOf(attempt: Attempt): Origin | undefined;
  status(): AgentStatus;
  /** Called before a frame leaves. */
  onFrame(kind: string): void;
  onStalled(): void;
}

type Report =
  | { readonly kind: "frame"; readonly frame: NonNullable<FromAgent["frame"]> }
  | { readonly kind: "ended" | "started"; readonly attempt: Attempt };

export class Outbox {
  readonly #parts: OutboxParts;
  #reports: Report[] = [];
  #head = 0;
  #wantsStatus = false;
  #isClosed = false;
  #failure: unknown;
  #wake: (() => void) | undefined;

  constructor(parts: OutboxParts) {
    this.#parts = parts;
  }

  get streamId(): number {
    return this.#parts.streamId;
  }
  get isClosed(): boolean {
    return this.#isClosed;
  }

  ended(attempt: Attempt): void {
    this.#push({ kind: "ended", attempt });
  }
  started(attempt: Attempt): void {
    this.#push({ kind: "started", attempt });
  }
  frame(frame: NonNullable<FromAgent["frame"]>): void {
    this.#push({ kind: "frame", frame });
  }
  /** Sends the status of the moment when it is sent, once, behind everything else. */
  status(): void {
    this.#wantsStatus = true;
    this.#notify();
  }

  /** Ends the stream after what waits. */
  close(): void {
    this.#isClosed = true;
    this.#notify();
  }

  /** Ends the stream with an error; what waits is not sent. */
  fail(cause: unknown): void {
    if (this.#isClosed) return;
    this.#failure = cause;
    this.#reports = [];
    this.#head = 0;
    this.#wantsStatus = false;
    this.close();
  }

  /** The frames, for one reader. */
  async *frames(): AsyncGenerator<FromAgent> {
    for (;;) {
      const frame = this.#next();
      if (frame) {
        this.#parts.onFrame(frame.$case);
        yield { frame };
      } else if (this.#failure !== undefined) {
        throw this.#failure;
      } else if (this.#isClosed) {
        return;
      } else {
        // Whatever else becomes ready in this turn of the event loop is queued before the reader goes on.
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }

  #push(report: Report): void {
    if (this.#isClosed) return;
    if (this.#reports.length - this.#head >= this.#parts.backlogMax) {
      this.#parts.onStalled();
      this.fail(new AppError("exhausted", "STREAM_STALLED", "the stream was not read; attach again"));
      return;
    }
    this.#reports.push(report);
    // Sent reports at the front must not keep their outcomes alive while the queue never becomes empty.
    if (this.#head >= 1_000 && this.#head * 2 >= this.#reports.length) {
      this.#reports = this.#reports.slice(this.#head);
      this.#head = 0;
    }
    this.#notify();
  }

  #notify(): void {
    this.#wake?.();
    this.#wake = undefined;
  }

  #next(): NonNullable<FromAgent["frame"]> | undefined {
    while (this.#head < this.#reports.length) {
      const report = this.#reports[this.#head] as Report;
      const frame = report.kind === "frame" ? this.#shift(report.frame) : this.#nextAttempts(report.kind);
      if (frame) return frame;
    }
    this.#reports = [];
    this.#head = 0;
    if (!this.#wantsStatus) return undefined;
    this.#wantsStatus = false;
    return { $case: "status", value: this.#parts.status() };
  }

  #shift<T>(frame: T): T {
    this.#head++;
    return frame;
  }

  /** One frame of the attempts at the head that are of one kind and session; undefined: none of them is ours any more. */
  #nextAttempts(kind: "ended" | "started"): NonNullable<FromAgent["frame"]> | undefined {
    const { streamId, frameAttemptsMax, frameBytesMax, reporterOf } = this.#parts;
    const attempts: Attempt[] = [];
    let session: number | undefined;
    let bytes = 0;
    for (; this.#head < this.#reports.length && attempts.length < frameAttemptsMax; this.#head++) {
      const report = this.#reports[this.#head] as Report;
      if (report.kind !== kind) break;
      const { attempt } = report;
      const reporter = reporterOf(attempt);
      if (reporter?.streamId !== streamId || (kind === "started" && attempt.outcome)) continue;
      if (session !== undefined && reporter.session !== session) break;
      bytes += kind === "ended" ? outcomeBytes(attempt.outcome) : Buffer.byteLength(attempt.progress);
      if (attempts.length > 0 && bytes > frameBytesMax) break;
      session = reporter.session;
      attempts.push(attempt);
    }
    if (session === undefined) return undefined;
    return kind === "ended"
      ? { $case: "ended", value: { session, attempts: attempts.map(endedOf) } }
      : { $case: "started", value: { session, attempts: attempts.map(startedOf) } };
  }
}

function endedOf({ ref, outcome, startedAtMs, instanceId }: Attempt) {
  return { ref, outcome: outcome as AttemptOutcome, startedAtMs, instanceId };
}

function startedOf({ ref, startedAtMs, instanceId, progress }: Attempt) {
  return { ref, startedAtMs, instanceId, progress };
}
