// What the recorded writes say that each row must be; several checkers compare with it.
import type { Inserted, StoreEvent } from "./history.ts";

export function insertsOf(store: readonly StoreEvent[]): Map<number, Inserted> {
  return new Map(store.flatMap((event) => (event.kind === "inserted" ? [[event.seq, event] as const] : [])));
}

export function groupBy<T>(items: readonly T[], keyOf: (item: T) => number): Map<number, T[]> {
  const groups = new Map<number, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group) group.push(item);
    else groups.set(key, [item]);
  }
  return groups;
}
