import type { Random } from "@sluice/core";

/** Decisions of the world around the code under test. */
export interface Dice {
  /** True so often; never drawn for 0. */
  chance(probability: number): boolean;
  /** A whole number from `from` to `until`, both inclusive. */
  between(from: number, until: number): number;
  pick<T>(items: readonly T[]): T;
  fork(name: string): Dice;
}

export function createDice(random: Random): Dice {
  return {
    chance: (probability) => probability > 0 && random.next() < probability,
    between: (from, until) => from + Math.floor(random.next() * (until - from + 1)),
    pick: (items) => items[Math.floor(random.next() * items.length)] as (typeof items)[number],
    fork: (name) => createDice(random.fork(name)),
  };
}
