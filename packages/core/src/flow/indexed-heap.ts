/** What an `IndexedHeap` needs of its items. Only the heap writes `position`. */
export interface Ranked {
  /** Smallest first. Change it only through `update`. */
  rank: number;
  /** Breaks ties; unique, so that the order never depends on the shape of the heap. */
  readonly order: number;
  /** Index in the heap; -1: in none. */
  position: number;
}

/** A binary heap that knows where its items are: O(log n) also to remove or move any of them. */
export class IndexedHeap<T extends Ranked> {
  readonly #items: T[] = [];

  get size(): number {
    return this.#items.length;
  }

  peek(): T | undefined {
    return this.#items[0];
  }

  has(item: T): boolean {
    return item.position >= 0;
  }

  add(item: T): void {
    this.#items.push(item);
    this.#rise(item, this.#items.length - 1);
  }

  remove(item: T): void {
    const { position } = item;
    if (position < 0) return;
    item.position = -1;
    const last = this.#items.pop() as T;
    if (last === item) return;
    this.#place(last, position);
  }

  /** Changes the rank of an item, whether it is in the heap or not. */
  update(item: T, rank: number): void {
    item.rank = rank;
    if (item.position >= 0) this.#place(item, item.position);
  }

  values(): readonly T[] {
    return this.#items;
  }

  #place(item: T, position: number): void {
    const parent = this.#items[(position - 1) >> 1];
    if (position > 0 && parent !== undefined && isBefore(item, parent)) this.#rise(item, position);
    else this.#sink(item, position);
  }

  #rise(item: T, start: number): void {
    let position = start;
    while (position > 0) {
      const parent = this.#items[(position - 1) >> 1] as T;
      if (!isBefore(item, parent)) break;
      this.#set(parent, position);
      position = (position - 1) >> 1;
    }
    this.#set(item, position);
  }

  #sink(item: T, start: number): void {
    let position = start;
    for (;;) {
      let childPosition = 2 * position + 1;
      let child = this.#items[childPosition];
      const right = this.#items[childPosition + 1];
      if (child !== undefined && right !== undefined && isBefore(right, child)) {
        child = right;
        childPosition += 1;
      }
      if (child === undefined || !isBefore(child, item)) break;
      this.#set(child, position);
      position = childPosition;
    }
    this.#set(item, position);
  }

  #set(item: T, position: number): void {
    this.#items[position] = item;
    item.position = position;
  }
}

function isBefore(a: Ranked, b: Ranked): boolean {
  return a.rank < b.rank || (a.rank === b.rank && a.order < b.order);
}
