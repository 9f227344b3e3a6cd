// Which running attempts their owners hear of before they end.
//
//   started ──runs for `startedAfterMs`──▶ reported ──progress──▶ reported again, every `progressEveryMs` at most
//      └──────────progress───────────────────▲
//
// Most attempts end sooner and are never reported here. One timer serves all: attempts come due in the order in which they
// were started.
import type { Clock } from "@sluice/core";
import type { Attempt } from "../gate/attempt.ts";

export interface StartedReportsParts {
  readonly clock: Clock;
  readonly startedAfterMs: number;
  readonly progressEveryMs: number;
  report(attempt: Attempt): void;
}

export class StartedReports {
  readonly #parts: StartedReportsParts;
  /** Not reported yet, with their start on the monotonic clock, oldest first. */
  readonly #young = new Map<Attempt, number>();
  /** Attempts that reported progress, with the time of their last report. */
  readonly #reportedAt = new Map<Attempt, number>();
  /** Those of them whose progress has changed since. */
  readonly #changed = new Set<Attempt>();
  #timer: { readonly at: number; cancel(): void } | undefined;

  constructor(parts: StartedReportsParts) {
    this.#parts = parts;
  }

  started(attempt: Attempt): void {
    this.#young.set(attempt, this.#parts.clock.monotonic());
    this.#arm();
  }

  progressed(attempt: Attempt): void {
    this.#young.delete(attempt);
    const now = this.#parts.clock.monotonic();
    if (now - (this.#reportedAt.get(attempt) ?? Number.NEGATIVE_INFINITY) >= this.#parts.progressEveryMs) {
      this.#reportedAt.set(attempt, now);
      this.#parts.report(attempt);
    } else {
      this.#changed.add(attempt);
      this.#arm();
    }
  }

  ended(attempt: Attempt): void {
    this.#young.delete(attempt);
    this.#reportedAt.delete(attempt);
    this.#changed.delete(attempt);
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#young.clear();
    this.#reportedAt.clear();
    this.#changed.clear();
  }

  #arm(): void {
    const at = this.#nextAt();
    if (at === undefined || (this.#timer && this.#timer.at <= at)) return;
    this.#timer?.cancel();
    const cancel = this.#parts.clock.timer(Math.max(0, at - this.#parts.clock.monotonic()), () => this.#look());
    this.#timer = { at, cancel };
  }

  #nextAt(): number | undefined {
    const [oldest] = this.#young.values();
    const due = oldest === undefined ? [] : [oldest + this.#parts.startedAfterMs];
    for (const attempt of this.#changed) {
      due.push((this.#reportedAt.get(attempt) ?? 0) + this.#parts.progressEveryMs);
    }
    return due.length === 0 ? undefined : due.reduce((first, at) => Math.min(first, at));
  }

  #look(): void {
    this.#timer = undefined;
    const { clock, startedAfterMs, progressEveryMs, report } = this.#parts;
    const now = clock.monotonic();
    for (const [attempt, startedAt] of this.#young) {
      if (startedAt + startedAfterMs > now) break;
      this.#young.delete(attempt);
      report(attempt);
    }
    for (const attempt of this.#changed) {
      if ((this.#reportedAt.get(attempt) ?? 0) + progressEveryMs > now) continue;
      this.#changed.delete(attempt);
      this.#reportedAt.set(attempt, now);
      report(attempt);
    }
    this.#arm();
  }
}
