// The server of an external system, as far as its clients can tell.
//
//   up ──▶ down (refuses connections; what was under way is not answered) ──▶ up
//    └───▶ stuck (answers nothing; what it was sent may take effect when it goes on) ──▶ up

export class SystemState {
  #state: "up" | "down" | "stuck" = "up";
  readonly #faults = { down: 0, stuck: 0 };
  #lives = 0;
  readonly #slow = new Set<{ readonly ms: number }>();
  readonly #listeners = new Set<() => void>();

  get isUp(): boolean {
    return this.#state === "up";
  }
  get isDown(): boolean {
    return this.#state === "down";
  }
  /** A call that was under way when this changed has no answer. */
  get lives(): number {
    return this.#lives;
  }

  /** Calls take so much longer than the network does, at most; 0: not at all. */
  get slowMs(): number {
    return Math.max(0, ...[...this.#slow].map(({ ms }) => ms));
  }

  /** Returns how to end it. */
  slow(ms: number): () => void {
    const slowness = { ms };
    this.#slow.add(slowness);
    return () => this.#slow.delete(slowness);
  }

  /** From now on; returns how to end it. Down outweighs stuck. */
  fail(how: "down" | "stuck"): () => void {
    let isOver = false;
    this.#faults[how]++;
    this.#lives++;
    this.#change();
    return () => {
      if (isOver) return;
      isOver = true;
      this.#faults[how]--;
      this.#change();
    };
  }

  /** Every connection breaks; the server goes on. */
  cutConnections(): void {
    this.#lives++;
  }

  /** Calls `listener` after every change; returns how to stop. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Runs `work` as soon as it is up. */
  whenUp(work: () => void): void {
    if (this.isUp) {
      work();
      return;
    }
    const stop = this.onChange(() => {
      if (!this.isUp) return;
      stop();
      work();
    });
  }

  #change(): void {
    this.#state = this.#faults.down > 0 ? "down" : this.#faults.stuck > 0 ? "stuck" : "up";
    for (const listener of [...this.#listeners]) listener();
  }
}
