import { assert } from "../assert.ts";
import type { Clock, EpochMs } from "../clock.ts";
import { inTurns } from "./in-turns.ts";
import { type Timer, TimerHeap } from "./timer-heap.ts";

/** A clock as one node sees it. To model a crash, freeze it for ever: nothing that waits on it goes on. */
export interface ClockView extends Clock {
  /** From now on its timers and sleeps wait, while its time goes on: a process that was stopped. */
  freeze(): void;
  /** What came due while it was frozen fires now, in order. */
  thaw(): void;
  readonly isFrozen: boolean;
  /** Its timers and sleeps that have yet to fire; those that came due while it is frozen are among them. */
  readonly pendingTimers: number;
  /** The wall clock jumps by `ms`; monotonic time and timers do not notice. */
  jump(ms: number): void;
}

export interface ViewOptions {
  /** Its milliseconds per real millisecond, for wall and monotonic time and timers; default 1. */
  readonly rate?: number;
  /** Added to the wall time; default 0. */
  readonly offsetMs?: number;
}

export interface RunOptions {
  /** Give up after so much fake time; default one hour. */
  readonly withinMs?: number;
}

const stepsAtOneInstantMax = 1_000_000;

/**
 * A clock that moves only by hand. Timers fire in the order of their times, then of their creation, each followed by one
 * real turn of the event loop, in which every promise that is ready runs, in-memory PGlite included. What waits for real
 * I/O does not become ready in that turn: use `eventually` there.
 */
export class FakeClock implements ClockView {
  /** Global time; starts at 0. */
  #nowMs = 0;
  #isRunning = false;
  readonly #heap = new TimerHeap();
  readonly #root: View;

  /** `wallStart`: the wall time of monotonic 0, ms since the epoch; default 2026-01-01T00:00:00Z. */
  constructor({ wallStart = Date.UTC(2026, 0, 1) }: { readonly wallStart?: EpochMs } = {}) {
    this.#root = new View({ time: () => this.#nowMs, heap: this.#heap, wallStart, rate: 1 });
  }

  /** The clock of a node, which may run fast or slow, show another wall time, and be frozen. */
  view({ rate = 1, offsetMs = 0 }: ViewOptions = {}): ClockView {
    assert(rate > 0, "the rate of a clock must be positive");
    const wallStart = this.#root.wallStart + offsetMs;
    return new View({ time: () => this.#nowMs, heap: this.#heap, wallStart, rate });
  }

  /** Timers and sleeps that have yet to fire, of all views; those held by a frozen view do not count. */
  get pendingTimers(): number {
    return this.#heap.size;
  }

  /** Fires everything due in the next `ms`. */
  async advance(ms: number): Promise<void> {
    assert(ms >= 0, "time does not go backwards");
    await this.#run(this.#nowMs + ms, () => false);
  }

  /**
   * Runs to a wall time, or until a condition holds, which is asked again after each timer. Throws when the condition does
   * not hold `withinMs`, or when nothing is left that could make it true.
   */
  async runUntil(target: EpochMs | (() => boolean | Promise<boolean>), options: RunOptions = {}): Promise<void> {
    if (typeof target === "number") {
      await this.#run(target - this.#root.wallStart, () => false);
      return;
    }
    const { withinMs = 3_600_000 } = options;
    const end = this.#nowMs + withinMs;
    if (await this.#run(end, target)) return;
    throw new Error(
      this.#heap.size === 0
        ? `nothing is left to happen and the condition does not hold: ${target}`
        : `the condition did not hold within ${withinMs} ms: ${target}`,
    );
  }

  /** Lets everything run that is ready now; no time passes. */
  async settle(): Promise<void> {
    await inTurns(() => true);
  }

  now(): EpochMs {
    return this.#root.now();
  }
  monotonic(): number {
    return this.#root.monotonic();
  }
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return this.#root.sleep(ms, signal);
  }
  timer(ms: number, callback: () => void): () => void {
    return this.#root.timer(ms, callback);
  }
  freeze(): void {
    this.#root.freeze();
  }
  thaw(): void {
    this.#root.thaw();
  }
  get isFrozen(): boolean {
    return this.#root.isFrozen;
  }
  jump(ms: number): void {
    this.#root.jump(ms);
  }

  /** Whether it ended because `isDone`. Otherwise time stands at `end`. */
  async #run(end: number, isDone: () => boolean | Promise<boolean>): Promise<boolean> {
    assert(!this.#isRunning, "the fake clock is already being moved by somebody else");
    this.#isRunning = true;
    let stepsAtThisInstant = 0;
    /** Undefined: a timer was fired, and there may be more. */
    const step = (done: boolean): boolean | undefined => {
      const next = done ? undefined : this.#heap.peek();
      if (next === undefined || next.at > end) return done;
      this.#heap.pop();
      stepsAtThisInstant = next.at > this.#nowMs ? 0 : stepsAtThisInstant + 1;
      assert(stepsAtThisInstant < stepsAtOneInstantMax, "a loop never waits: fake time stands still");
      // A timer that was held by a frozen view lies in the past.
      this.#nowMs = Math.max(this.#nowMs, next.at);
      next.fire();
      return undefined;
    };
    try {
      const isEndedByDone = await inTurns(() => {
        const done = isDone();
        return typeof done === "boolean" ? step(done) : done.then(step);
      });
      if (!isEndedByDone) this.#nowMs = Math.max(this.#nowMs, end);
      return isEndedByDone;
    } finally {
      this.#isRunning = false;
    }
  }
}

interface ViewParts {
  readonly time: () => number;
  readonly heap: TimerHeap;
  readonly wallStart: EpochMs;
  readonly rate: number;
}

class View implements ClockView {
  wallStart: EpochMs;
  readonly #time: () => number;
  readonly #heap: TimerHeap;
  readonly #rate: number;
  #isFrozen = false;
  /** Due while frozen, in order. */
  #held: Timer[] = [];
  readonly #pending = new Set<Timer>();

  constructor({ time, heap, wallStart, rate }: ViewParts) {
    this.wallStart = wallStart;
    this.#time = time;
    this.#heap = heap;
    this.#rate = rate;
  }

  get isFrozen(): boolean {
    return this.#isFrozen;
  }
  get pendingTimers(): number {
    return this.#pending.size;
  }

  now(): EpochMs {
    return Math.floor(this.wallStart + this.monotonic());
  }

  monotonic(): number {
    return this.#time() * this.#rate;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const cancel = this.timer(ms, () => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      });
      const onAbort = () => {
        cancel();
        resolve();
      };
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  }

  timer(ms: number, callback: () => void): () => void {
    // At least 1 ms, as in Node: a loop that sleeps for nothing must not stop the time. Whole milliseconds, rounded up, so
    // that a deadline computed on this clock has passed when its timer fires.
    const at = Math.ceil(this.#time() + Math.max(1, ms) / this.#rate);
    const timer: Timer = this.#heap.add(at, () => {
      if (this.#isFrozen) {
        this.#held.push(timer);
        return;
      }
      this.#pending.delete(timer);
      callback();
    });
    this.#pending.add(timer);
    return () => {
      this.#heap.cancel(timer);
      this.#pending.delete(timer);
      if (this.#held.length > 0) this.#held = this.#held.filter((held) => held !== timer);
    };
  }

  freeze(): void {
    this.#isFrozen = true;
  }

  thaw(): void {
    this.#isFrozen = false;
    const held = this.#held;
    this.#held = [];
    // At their own times, before everything that comes due now, as an event loop that wakes up does.
    for (const timer of held) this.#heap.restore(timer);
  }

  jump(ms: number): void {
    this.wallStart += ms;
  }
}
