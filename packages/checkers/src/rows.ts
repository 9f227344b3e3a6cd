// What the recorded writes say that each row must be; several checkers compare with it.
import type { Task } from "@sluice/core";
import type { Batch, Inserted, StoreEvent } from "./history.ts";

/** What names a task to its client. */
export interface TaskName {
  readonly account: string;
  readonly function: string;
  readonly taskId: string;
}

export function keyOf({ account, function: name, taskId }: TaskName): string {
  return `${account}/${name}/${taskId}`;
}

export function taskKeyOf({ accountId, functionName, taskId }: Task): string {
  return `${accountId}/${functionName}/${taskId}`;
}

export function insertsOf(store: readonly StoreEvent[]): Map<number, Inserted> {
  return new Map(store.flatMap((event) => (event.kind === "inserted" ? [[event.seq, event] as const] : [])));
}

/** Rows that operations have stopped or deleted in bulk, with each write about them. */
export function batchesOf(store: readonly StoreEvent[]): Map<number, Batch[]> {
  const found = new Map<number, Batch[]>();
  for (const event of store) {
    if (event.kind !== "batch") continue;
    for (const seq of event.seqs) found.set(seq, [...(found.get(seq) ?? []), event]);
  }
  return found;
}

/** Tasks of which a row was deleted: they have left the record by order of their account, and their ids are free again. */
export function deletedKeys(store: readonly StoreEvent[]): Set<string> {
  const inserts = insertsOf(store);
  const deleted = store.flatMap((event) => (event.kind === "batch" && event.did === "deleted" ? event.seqs : []));
  return new Set(deleted.flatMap((seq) => inserts.get(seq) ?? []).map(keyOf));
}

/** Tasks that were given to another lane. */
export function movedIn(store: readonly StoreEvent[]): Set<number> {
  return new Set(
    store.flatMap((event) =>
      event.kind === "written" && event.applied && event.write.kind === "park" && event.write.moveTo !== undefined
        ? [event.write.seq]
        : [],
    ),
  );
}

export function groupBy<T, K>(items: readonly T[], keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group) group.push(item);
    else groups.set(key, [item]);
  }
  return groups;
}
