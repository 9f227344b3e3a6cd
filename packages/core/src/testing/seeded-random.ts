import { combine, hash32 } from "../hash.ts";
import type { Random } from "../random.ts";

/** A generator whose every number follows from `seed` and the names of its forks. Not for secrets. */
export function seededRandom(seed: number): Random {
  return new SeededRandom(hash32(`seed ${seed}`));
}

/** SplitMix32: full period, one word of state. A simulation draws far fewer than 2^32 numbers from one fork. */
class SeededRandom implements Random {
  readonly #seed: number;
  #state: number;

  constructor(seed: number) {
    this.#seed = seed;
    this.#state = seed;
  }

  next(): number {
    // 53 bits, so that the numbers are as fine as those of production.
    return ((this.#word() >>> 5) * 2 ** 26 + (this.#word() >>> 6)) / 2 ** 53;
  }

  fork(name: string): Random {
    return new SeededRandom(combine(this.#seed, hash32(name)));
  }

  hex(bytes: number): string {
    let text = "";
    while (text.length < 2 * bytes) text += this.#word().toString(16).padStart(8, "0");
    return text.slice(0, 2 * bytes);
  }

  #word(): number {
    this.#state = (this.#state + 0x9e3779b9) | 0;
    let mixed = this.#state ^ (this.#state >>> 16);
    mixed = Math.imul(mixed, 0x21f0aaad);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed, 0x735a2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  }
}
