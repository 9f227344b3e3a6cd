export interface Timer {
  readonly at: number;
  /** Of creation; breaks ties, so that the order never depends on the shape of the heap. */
  readonly order: number;
  readonly fire: () => void;
  state: "waiting" | "cancelled" | "fired";
}

/**
 * Timers by time. Cancelling only marks: most timers are deadlines that are cancelled long before they are due, and the
 * marked ones are swept out when they are the majority, so both cost O(log n) on average.
 */
export class TimerHeap {
  #items: Timer[] = [];
  #orders = 0;
  #cancelled = 0;

  /** Those that are still to fire. */
  get size(): number {
    return this.#items.length - this.#cancelled;
  }

  add(at: number, fire: () => void): Timer {
    const timer: Timer = { at, order: this.#orders++, fire, state: "waiting" };
    this.#push(timer);
    return timer;
  }

  /** Puts back a timer that was popped. */
  restore(timer: Timer): void {
    timer.state = "waiting";
    this.#push(timer);
  }

  cancel(timer: Timer): void {
    if (timer.state !== "waiting") return;
    timer.state = "cancelled";
    this.#cancelled += 1;
    if (this.#cancelled > 64 && this.#cancelled * 2 > this.#items.length) this.#sweep();
  }

  peek(): Timer | undefined {
    for (;;) {
      const first = this.#items[0];
      if (first?.state !== "cancelled") return first;
      this.#cancelled -= 1;
      this.#removeFirst();
    }
  }

  pop(): Timer | undefined {
    const first = this.peek();
    if (first !== undefined) {
      first.state = "fired";
      this.#removeFirst();
    }
    return first;
  }

  #push(timer: Timer): void {
    const items = this.#items;
    let index = items.length;
    while (index > 0) {
      const parentIndex = (index - 1) >> 1;
      const parent = items[parentIndex] as Timer;
      if (!isBefore(timer, parent)) break;
      items[index] = parent;
      index = parentIndex;
    }
    items[index] = timer;
  }

  #removeFirst(): void {
    const last = this.#items.pop();
    if (last !== undefined && this.#items.length > 0) this.#sink(0, last);
  }

  /** Places `timer` at `index` or below. */
  #sink(start: number, timer: Timer): void {
    const items = this.#items;
    let index = start;
    for (;;) {
      let childIndex = 2 * index + 1;
      let child = items[childIndex];
      const right = items[childIndex + 1];
      if (child !== undefined && right !== undefined && isBefore(right, child)) {
        child = right;
        childIndex += 1;
      }
      if (child === undefined || !isBefore(child, timer)) break;
      items[index] = child;
      index = childIndex;
    }
    items[index] = timer;
  }

  #sweep(): void {
    this.#items = this.#items.filter((timer) => timer.state === "waiting");
    this.#cancelled = 0;
    for (let index = (this.#items.length >> 1) - 1; index >= 0; index--) {
      this.#sink(index, this.#items[index] as Timer);
    }
  }
}

function isBefore(a: Timer, b: Timer): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
