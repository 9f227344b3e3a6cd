// One life of a process. Promises cannot be killed, so a node is a gate instead: everything that reaches its code from
// outside (answers, messages, hints, the ends of instances) comes through `enter`, and its timers are those of its own view
// of the clock.
//
//   up ──freeze──▶ frozen ──thaw──▶ up
//    └────────────────┴──crash, exit──▶ down (for ever: nothing enters, no timer fires, nothing is flushed)
import type { ClockView, FakeClock, ViewOptions } from "@sluice/core/testing";

export class SimNode {
  /** The host and the number of the life, such as `s1.2`. */
  readonly name: string;
  readonly host: string;
  readonly clock: ClockView;
  readonly #root: FakeClock;
  #state: "up" | "frozen" | "down" = "up";
  #waiting: (() => void)[] = [];
  #isDraining = false;
  readonly #downListeners = new Set<() => void>();
  readonly #freezeListeners = new Set<() => void>();

  constructor(options: {
    readonly name: string;
    readonly host: string;
    readonly clock: FakeClock;
    readonly view: ViewOptions;
  }) {
    this.name = options.name;
    this.host = options.host;
    this.#root = options.clock;
    this.clock = options.clock.view(options.view);
  }

  get isUp(): boolean {
    return this.#state === "up";
  }
  get isDown(): boolean {
    return this.#state === "down";
  }
  get isFrozen(): boolean {
    return this.#state === "frozen";
  }

  /** Runs `work` as this process: now, after the thaw, or never. In the order of the calls. */
  enter(work: () => void): void {
    if (this.#state === "up" && !this.#isDraining) work();
    else if (this.#state !== "down") this.#waiting.push(work);
  }

  freeze(): void {
    if (this.#state !== "up") return;
    this.#state = "frozen";
    this.clock.freeze();
    for (const listener of [...this.#freezeListeners]) listener();
  }

  /** Timers that came due fire first, then what came meanwhile enters, one by one, as an event loop that wakes up does it. */
  thaw(): void {
    if (this.#state !== "frozen") return;
    this.#state = "up";
    this.clock.thaw();
    for (const listener of [...this.#freezeListeners]) listener();
    if (this.#waiting.length > 0 && !this.#isDraining) this.#drain();
  }

  #drain(): void {
    this.#isDraining = true;
    this.#root.timer(1, () => {
      const next = this.#state === "up" ? this.#waiting.shift() : undefined;
      if (this.#state === "up" && this.#waiting.length > 0) this.#drain();
      else this.#isDraining = false;
      next?.();
    });
  }

  crash(): void {
    if (this.#state === "down") return;
    this.#state = "down";
    this.clock.freeze();
    this.#waiting = [];
    const listeners = [...this.#downListeners];
    this.#downListeners.clear();
    for (const listener of listeners) listener();
  }

  /** Calls `listener` whenever the node freezes or thaws; returns how to stop. For the world around it, as well. */
  onFreeze(listener: () => void): () => void {
    this.#freezeListeners.add(listener);
    return () => this.#freezeListeners.delete(listener);
  }

  /** Calls `listener` when the node goes down; returns how to stop. For the world around it, not for its own code. */
  onDown(listener: () => void): () => void {
    this.#downListeners.add(listener);
    return () => this.#downListeners.delete(listener);
  }
}
