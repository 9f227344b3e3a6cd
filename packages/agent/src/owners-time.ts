// What time it is by the store, at least: expiries are its times. Owners, who know it, tell it with what they send; how long
// their frames were on the way is not known, so the latest time that any of them leads to counts. It does not follow the
// wall clock of the host, which may be wrong, or be set while an attempt waits.
import type { Clock, EpochMs } from "@sluice/core";

/** What was heard longer ago than once or twice this is forgotten: the clocks of two machines run apart by up to 2 %. */
const windowMs = 30_000;

export class OwnersTime {
  readonly #clock: Clock;
  /** Highest difference between what was told and the monotonic clock, in this window and the one before. */
  #newest = Number.NEGATIVE_INFINITY;
  #before = Number.NEGATIVE_INFINITY;
  #windowFrom = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** An owner's frame says what time it was when it was sent; 0: it does not say. */
  heard(toldMs: EpochMs): void {
    if (toldMs <= 0) return;
    const now = this.#clock.monotonic();
    if (now - this.#windowFrom >= windowMs) {
      this.#before = now - this.#windowFrom < 2 * windowMs ? this.#newest : Number.NEGATIVE_INFINITY;
      this.#newest = Number.NEGATIVE_INFINITY;
      this.#windowFrom = now;
    }
    this.#newest = Math.max(this.#newest, toldMs - now);
  }

  /** The host's wall clock as long as no owner has told anything. */
  now(): EpochMs {
    const offset = Math.max(this.#newest, this.#before);
    return offset === Number.NEGATIVE_INFINITY ? this.#clock.now() : this.#clock.monotonic() + offset;
  }
}
