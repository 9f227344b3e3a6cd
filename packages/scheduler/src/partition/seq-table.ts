// A map from task numbers to small integers: what an owner remembers of each number that waits. A million of them are the
// normal case, and a `Map` costs 40 to 60 bytes an entry (16 more beyond 2^31, where numbers become objects) that every
// garbage collection walks; this costs 16 to 32 and is not walked.
//
// Open addressing with linear probing in two typed arrays; a removal moves back what stood behind it, so nothing is left of it.
import { assert, type Seq } from "@sluice/core";

const empty = -1;
const capacityMin = 64;

export class SeqTable {
  #keys = new Float64Array(0);
  #values = new Int32Array(0);
  /** What is left of a hash shifted by this is an index. */
  #shift = 0;
  #size = 0;

  constructor() {
    this.#allocate(capacityMin);
  }

  get size(): number {
    return this.#size;
  }

  get(seq: Seq): number | undefined {
    const at = this.#find(seq);
    return this.#keys[at] === empty ? undefined : this.#values[at];
  }

  has(seq: Seq): boolean {
    return this.#keys[this.#find(seq)] !== empty;
  }

  /** Sets what is not there. Returns the value that is there already. */
  add(seq: Seq, value: number): number | undefined {
    assert(seq >= 0, "numbers of tasks are not negative");
    const at = this.#find(seq);
    if (this.#keys[at] !== empty) return this.#values[at];
    this.#keys[at] = seq;
    this.#values[at] = value;
    this.#size += 1;
    // At most three quarters full: a look-up that fails probes 8 places then.
    if (this.#size * 4 > this.#keys.length * 3) this.#rehash(this.#keys.length * 2);
    return undefined;
  }

  /** Changes what is there. */
  set(seq: Seq, value: number): void {
    const at = this.#find(seq);
    assert(this.#keys[at] === seq, `there is no ${seq}`);
    this.#values[at] = value;
  }

  /** Removes it. Returns its value. */
  take(seq: Seq): number | undefined {
    const at = this.#find(seq);
    if (this.#keys[at] === empty) return undefined;
    const value = this.#values[at];
    this.#close(at);
    this.#size -= 1;
    if (this.#keys.length > capacityMin && this.#size * 8 < this.#keys.length) this.#rehash(this.#keys.length / 2);
    return value;
  }

  /** Where it is, or else where it belongs. */
  #find(seq: Seq): number {
    const keys = this.#keys;
    const mask = keys.length - 1;
    let at = this.#home(seq);
    for (let key = keys[at]; key !== seq && key !== empty; key = keys[at]) at = (at + 1) & mask;
    return at;
  }

  /** Fills the gap at `gap` from behind, as far as probes go on over it. */
  #close(gap: number): void {
    const keys = this.#keys;
    const values = this.#values;
    const mask = keys.length - 1;
    let free = gap;
    for (let at = (gap + 1) & mask; keys[at] !== empty; at = (at + 1) & mask) {
      const key = keys[at] as number;
      // It may not move before its home.
      if (((at - this.#home(key)) & mask) < ((at - free) & mask)) continue;
      keys[free] = key;
      values[free] = values[at] as number;
      free = at;
    }
    keys[free] = empty;
  }

  #home(seq: Seq): number {
    const mixed = Math.imul(seq ^ Math.imul(seq / 2 ** 32, 0x85ebca6b), 0x9e3779b1);
    return mixed >>> this.#shift;
  }

  #rehash(capacity: number): void {
    const keys = this.#keys;
    const values = this.#values;
    this.#allocate(capacity);
    for (let from = 0; from < keys.length; from++) {
      const key = keys[from] as number;
      if (key === empty) continue;
      const at = this.#find(key);
      this.#keys[at] = key;
      this.#values[at] = values[from] as number;
    }
  }

  #allocate(capacity: number): void {
    this.#keys = new Float64Array(capacity).fill(empty);
    this.#values = new Int32Array(capacity);
    this.#shift = 32 - Math.log2(capacity);
  }
}
