// The network between hosts: how long a message takes, which directions are cut, and how often what goes wrong. Calls
// (`unary.ts`), streams (`stream.ts`) and the ports of the external systems (`../ports`) send through it.
import type { FakeClock } from "@sluice/core/testing";
import type { Counters } from "../counters.ts";
import type { Dice } from "../dice.ts";
import type { Rates } from "../faults.ts";
import type { Trace } from "../trace.ts";

export interface NetworkOptions {
  readonly clock: FakeClock;
  readonly dice: Dice;
  readonly trace: Trace;
  readonly counters: Counters;
  /** Of now; all 0 in calm times. */
  readonly rates: () => Rates;
}

/** A connection that does not hear from its other end for so long is given up (`keepalive` of the transport). */
export const keepaliveMs = 13_000;

export class Network {
  readonly clock: FakeClock;
  readonly dice: Dice;
  readonly trace: Trace;
  readonly counters: Counters;
  readonly rates: () => Rates;
  readonly #cuts = new Map<string, number>();
  readonly #listeners = new Set<() => void>();

  constructor(options: NetworkOptions) {
    this.clock = options.clock;
    this.dice = options.dice;
    this.trace = options.trace;
    this.counters = options.counters;
    this.rates = options.rates;
  }

  /** One direction. Cuts of the same direction add up. Returns how to heal it. */
  cut(from: string, to: string): () => void {
    const key = `${from}>${to}`;
    this.#cuts.set(key, (this.#cuts.get(key) ?? 0) + 1);
    this.trace.add(`cut ${key}`);
    this.#notify();
    let isHealed = false;
    return () => {
      if (isHealed) return;
      isHealed = true;
      const left = (this.#cuts.get(key) ?? 1) - 1;
      if (left > 0) this.#cuts.set(key, left);
      else this.#cuts.delete(key);
      this.trace.add(`heal ${key}`);
      this.#notify();
    };
  }

  isCut(from: string, to: string): boolean {
    return this.#cuts.has(`${from}>${to}`);
  }

  /** Calls `listener` after every cut and every healing; returns how to stop. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** How long the next message takes, in ms. */
  latency(): number {
    const { slow } = this.rates();
    if (this.dice.chance(slow)) return this.dice.between(20, 1_500);
    return this.dice.between(1, 4);
  }

  after(ms: number, deliver: () => void): () => void {
    return this.clock.timer(ms, deliver);
  }

  #notify(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}
