// The network between hosts: how long a message takes, which directions are cut, and how often what goes wrong. Calls
// (`unary.ts`), streams (`stream.ts`) and the ports of the external systems (`../ports`) send through it.
import type { FakeClock } from "@sluice/core/testing";
import type { Counters } from "../counters.ts";
import type { Dice } from "../dice.ts";
import type { RateName, Rates } from "../faults.ts";
import type { Trace } from "../trace.ts";

export interface NetworkOptions {
  readonly clock: FakeClock;
  readonly dice: Dice;
  readonly trace: Trace;
  readonly counters: Counters;
  /** Of now; empty in calm times. */
  readonly rates: () => Rates;
}

/** A connection that does not hear from its other end for so long is given up (`keepalive` of the transport). */
export const keepaliveMs = 13_000;

export class Network {
  readonly clock: FakeClock;
  readonly dice: Dice;
  readonly trace: Trace;
  readonly counters: Counters;
  readonly #rates: () => Rates;
  /** One per rate, so that a fault that is taken out of a plan does not shift the others. */
  readonly #diceOfRates = new Map<RateName, Dice>();
  readonly #cuts = new Map<string, number>();
  readonly #listeners = new Set<() => void>();

  constructor(options: NetworkOptions) {
    this.clock = options.clock;
    this.dice = options.dice;
    this.trace = options.trace;
    this.counters = options.counters;
    this.#rates = options.rates;
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
    const usual = this.dice.between(1, 4);
    if (!this.happens("message slow")) return usual;
    this.counters.add("message slow");
    return this.diceOf("message slow").between(20, 1_500);
  }

  /** Whether this fault happens to what passes now. */
  happens(name: RateName): boolean {
    const rate = this.#rates()[name];
    return rate !== undefined && this.diceOf(name).chance(rate);
  }

  /** For how it happens. */
  diceOf(name: RateName): Dice {
    const known = this.#diceOfRates.get(name);
    if (known) return known;
    const dice = this.dice.fork(name);
    this.#diceOfRates.set(name, dice);
    return dice;
  }

  after(ms: number, deliver: () => void): () => void {
    return this.clock.timer(ms, deliver);
  }

  #notify(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}
