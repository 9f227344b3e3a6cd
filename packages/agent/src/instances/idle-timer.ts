import type { Clock } from "@sluice/core";

export interface IdleTimerOptions {
  readonly clock: Pick<Clock, "monotonic" | "timer">;
  isIdle(): boolean;
  /** Monotonic. */
  usedAt(): number;
  /** Whether it stays, though it has been idle for so long. */
  stays(): boolean;
  end(): void;
}

/** Ends an instance that has been idle for too long. */
export class IdleTimer {
  readonly #options: IdleTimerOptions;
  #idleMs = 0;
  #cancel: (() => void) | undefined;

  constructor(options: IdleTimerOptions) {
    this.#options = options;
  }

  /** It may be idle now. One timer for many such moments: rearming it for each would cost more than a small handler. */
  watch(idleMs: number): void {
    if (idleMs !== this.#idleMs) this.cancel();
    this.#idleMs = idleMs;
    if (this.#cancel === undefined) this.#arm(idleMs);
  }

  cancel(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #arm(ms: number): void {
    const { clock, isIdle, usedAt, stays, end } = this.#options;
    this.#cancel = clock.timer(ms, () => {
      this.#cancel = undefined;
      if (!isIdle()) return;
      const leftMs = usedAt() + this.#idleMs - clock.monotonic();
      if (leftMs <= 0 && !stays()) end();
      else this.#arm(leftMs > 0 ? leftMs : this.#idleMs);
    });
  }
}
