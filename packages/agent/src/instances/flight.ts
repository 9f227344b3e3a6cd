import type { Clock } from "@sluice/core";
import type { AttemptLog } from "./attempt-log.ts";
import { progressBytesMax } from "./frames.ts";
import * as outcomes from "./outcomes.ts";
import type { Invocation, Outcome } from "./pool.ts";

const progressEveryMs = 100;

/** One request in flight in an instance. */
export class Flight {
  readonly number: number;
  readonly invocation: Invocation;
  readonly log: AttemptLog;
  readonly startedAt: number;
  /** Resolves when the request has ended. */
  readonly ended: Promise<Outcome>;
  /** The runner has seen that the request is to end, so its event loop is not blocked. */
  readonly cancelSeen: Promise<{ readonly listens: boolean }>;
  /** How the request ends whatever else happens to it: it has answered, timed out, or was stopped. */
  verdict: Outcome | undefined;
  /** It has ended for the caller, and is only waiting for its last output. */
  isEnding = false;
  /** Its handler was told to stop, by its signal or by that of its process: what it returns from now on may be because of that. */
  knowsOfStop = false;
  /** Undoes what waits for the request: its timer, its signal. */
  release: () => void = () => undefined;
  #resolveEnded!: (outcome: Outcome) => void;
  #resolveCancelSeen!: (answer: { listens: boolean }) => void;
  readonly #progress: Throttled<Uint8Array>;

  constructor(number: number, invocation: Invocation, log: AttemptLog, clock: Clock) {
    this.number = number;
    this.invocation = invocation;
    this.log = log;
    this.#progress = new Throttled(clock, progressEveryMs, (json) => this.#tellProgress(json));
    this.startedAt = clock.monotonic();
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
    this.cancelSeen = new Promise((resolve) => {
      this.#resolveCancelSeen = resolve;
    });
  }

  sawCancel(listens: boolean): void {
    this.knowsOfStop ||= listens;
    this.#resolveCancelSeen({ listens });
  }

  /** It came to its own end before its stop. */
  unstop(): void {
    if (this.verdict === outcomes.stopped) this.verdict = undefined;
  }

  sawProgress(json: Uint8Array): void {
    // No runner sends more: user code has written to its pipe, and loses its progress.
    if (json.byteLength <= progressBytesMax) this.#progress.push(json);
  }

  end(outcome: Outcome): void {
    this.#progress.finish();
    const hasFailed = outcome.kind !== "succeeded";
    this.log.close(`FC Invoke End RequestId: ${this.invocation.requestId}${suffixOf(outcome)}`, { hasFailed });
    this.#resolveEnded(outcome);
  }

  #tellProgress(bytes: Uint8Array): void {
    const json = Buffer.from(bytes).toString();
    try {
      JSON.parse(json);
    } catch {
      // Not JSON: user code has written to the runner's pipe. It loses its progress.
      return;
    }
    // As it came: numbers that are written anew may be longer, and those that JavaScript cannot hold are others.
    this.invocation.onProgress?.(json);
  }
}

/** Hands on the first value at once, then the newest one per period: a hostile handler sends millions. */
class Throttled<T> {
  readonly #clock: Clock;
  readonly #periodMs: number;
  readonly #tell: (value: T) => void;
  #waiting: { readonly value: T } | undefined;
  #cancelTimer: (() => void) | undefined;

  constructor(clock: Clock, periodMs: number, tell: (value: T) => void) {
    this.#clock = clock;
    this.#periodMs = periodMs;
    this.#tell = tell;
  }

  push(value: T): void {
    this.#waiting = { value };
    if (!this.#cancelTimer) this.#next();
  }

  finish(): void {
    this.#cancelTimer?.();
    if (this.#waiting) this.#tell(this.#waiting.value);
    this.#waiting = undefined;
  }

  #next(): void {
    this.#cancelTimer = undefined;
    if (!this.#waiting) return;
    this.#tell(this.#waiting.value);
    this.#waiting = undefined;
    this.#cancelTimer = this.#clock.timer(this.#periodMs, () => this.#next());
  }
}

function suffixOf(outcome: Outcome): string {
  if (outcome.kind !== "failed") return "";
  return `, Error: ${outcome.errorType === "HandledInvocationError" ? "Handled" : "Unhandled"} function error`;
}
