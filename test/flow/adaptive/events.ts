// Simulated time: what is to happen, in order.

type Event = (nowMs: number) => void;

export interface Events {
  at(ms: number, event: Event): void;
  /** Lets everything happen that is due before `ms`. */
  runUntil(ms: number): void;
}

/** A binary heap: millions of events in a second. Equal times keep their order. */
export function createEvents(): Events {
  const heap: { readonly ms: number; readonly order: number; readonly event: Event }[] = [];
  let orders = 0;
  type Entry = (typeof heap)[number];
  const isBefore = (a: Entry, b: Entry) => a.ms < b.ms || (a.ms === b.ms && a.order < b.order);

  function up(entry: Entry): void {
    let index = heap.push(entry) - 1;
    while (index > 0) {
      const above = (index - 1) >> 1;
      const parent = heap[above] as Entry;
      if (!isBefore(entry, parent)) break;
      heap[index] = parent;
      index = above;
    }
    heap[index] = entry;
  }

  function pop(): Entry | undefined {
    const top = heap[0];
    const last = heap.pop();
    if (top === undefined || last === undefined || heap.length === 0) return top;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Entry, heap[child] as Entry)) child++;
      if (!isBefore(heap[child] as Entry, last)) break;
      heap[index] = heap[child] as Entry;
      index = child;
    }
    heap[index] = last;
    return top;
  }

  return {
    at: (ms, event) => up({ ms, order: orders++, event }),
    runUntil(ms) {
      while (heap.length > 0 && (heap[0] as Entry).ms < ms) {
        const { ms: now, event } = pop() as Entry;
        event(now);
      }
    },
  };
}
