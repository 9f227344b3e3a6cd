import type { Clock } from "@sluice/core";
import type { AttemptLog } from "./attempt-log.ts";
import * as outcomes from "./outcomes.ts";
import type { FunctionSpec, Outcome } from "./pool.ts";
import { deferred } from "./within.ts";

export interface StartupOptions {
  readonly clock: Clock;
  readonly spec: FunctionSpec;
  /** Of the attempt for which the instance is started: the start's output is shown there. */
  readonly log: AttemptLog;
  readonly startRequestId: string;
}

/**
 * The start of an instance: load, initialize, serve. Each stage but the last is limited in time; the first answer, be
 * it success, failure or time-out, stands.
 */
export class Startup {
  stage: "load" | "initialize" | "serve" = "load";
  readonly log: AttemptLog;
  readonly #options: StartupOptions;
  readonly #answer = deferred<Outcome | undefined>();
  readonly #onTimeOut: () => void;
  #failure: Outcome | undefined;
  #isEnded = false;
  #cancelTimer: (() => void) | undefined;

  constructor(options: StartupOptions, onTimeOut: () => void) {
    this.#options = options;
    this.log = options.log;
    this.#onTimeOut = onTimeOut;
  }

  /** Undefined when the instance serves, else how every attempt that waits for it ends. */
  get answer(): Promise<Outcome | undefined> {
    return this.#answer.promise;
  }

  /** The process runs, and loads the user's module. */
  begin(timeoutMs: number): void {
    this.#limit(timeoutMs, () => outcomes.startTimedOut(timeoutMs));
  }

  loaded(): void {
    const { spec, startRequestId } = this.#options;
    this.#cancelTimer?.();
    this.log.mark(`FunctionCompute ${spec.runtime} runtime inited.`);
    if (!spec.initializer) return;
    const { timeoutMs } = spec.initializer;
    this.stage = "initialize";
    this.log.mark(`FC Initialize Start RequestId: ${startRequestId}`);
    this.#limit(timeoutMs, () => outcomes.initializerTimedOut(timeoutMs));
  }

  /** The runner has told why it cannot serve; it may end before its output has been read. */
  noteFailure(failure: Outcome | undefined): void {
    this.#failure = failure;
  }

  /** The runner has answered, and its output has been read. */
  end(failure: Outcome | undefined): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#cancelTimer?.();
    const suffix = failure ? ", Error: Unhandled function error" : "";
    if (this.stage === "initialize")
      this.log.mark(`FC Initialize End RequestId: ${this.#options.startRequestId}${suffix}`);
    if (!failure) this.stage = "serve";
    this.#answer.resolve(failure);
  }

  /** It will not start, whatever else happens. */
  fail(failure: Outcome): void {
    this.#cancelTimer?.();
    this.#answer.resolve(failure);
  }

  /** The process has ended; does nothing when it had started. */
  crash(crash: outcomes.Failed): void {
    if (this.#failure) this.end(this.#failure);
    this.fail(this.stage === "initialize" ? { ...crash, errorType: "InitializationError" } : crash);
  }

  #limit(ms: number, failure: () => Outcome): void {
    this.#cancelTimer = this.#options.clock.timer(ms, () => {
      this.#answer.resolve(failure());
      this.#onTimeOut();
    });
  }
}
