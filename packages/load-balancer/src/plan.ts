import type { Wish } from "@sluice/coordination";
import { assignPartitions, lanesOf, type Partition, partitionKey } from "@sluice/core";
import type { Member } from "./members.ts";

export interface PlanInput {
  /** Queues that must have a wish; those that have one already need not be named. */
  readonly queues: readonly string[];
  readonly members: readonly Member[];
  readonly wishes: readonly Wish[];
  /** Partitions, by key, that moved a moment ago and must not move again unless their owner is gone. */
  readonly pinned: ReadonlySet<string>;
}

export interface Plan {
  /** Those to be written: each is the one that was read, changed. */
  readonly wishes: readonly Wish[];
  /** Partitions, by key, that another live member owns now. */
  readonly moved: readonly string[];
}

/**
 * What should be wished, given who is there. Nothing while nobody can own anything: the last wishes stand. Shapes are kept as
 * they are; a queue without a wish is one partition.
 */
export function plan({ queues, members, wishes, pinned }: PlanInput): Plan {
  const able = members.filter(({ isDraining }) => !isDraining);
  if (able.length === 0) return { wishes: [], moved: [] };
  const known = withMissing(wishes, queues);
  const partitions = known.flatMap(shapeOf);
  const current = ownersIn(wishes);
  const owners = assignPartitions({
    // As if every lane had the same load.
    partitions: partitions.map((partition) => ({ key: partitionKey(partition), load: laneCountOf(partition) })),
    members: able,
    current,
    pinned,
  });
  const wanted = known.map((wish) => ({
    ...wish,
    partitions: shapeOf(wish).flatMap(({ queue, prefix }) => {
      const ownerId = owners.get(partitionKey({ queue, prefix }));
      return ownerId === undefined ? [] : [{ prefix, ownerId }];
    }),
  }));
  const alive = new Set(members.map(({ id }) => id));
  const moved = [...owners].filter(([key, ownerId]) => {
    const before = current.get(key);
    return before !== undefined && before !== ownerId && alive.has(before);
  });
  return { wishes: wanted.filter((wish, index) => isChanged(wish, known[index])), moved: moved.map(([key]) => key) };
}

function withMissing(wishes: readonly Wish[], queues: readonly string[]): Wish[] {
  const has = new Set(wishes.map(({ queue }) => queue));
  const missing = queues.filter((queue) => !has.has(queue));
  return [...wishes, ...missing.map((queue) => ({ queue, partitions: [], modRevision: 0 }))];
}

function shapeOf({ queue, partitions }: Wish): Partition[] {
  return partitions.length === 0 ? [{ queue, prefix: "" }] : partitions.map(({ prefix }) => ({ queue, prefix }));
}

function ownersIn(wishes: readonly Wish[]): Map<string, string> {
  return new Map(
    wishes.flatMap(({ queue, partitions }) =>
      partitions.map(({ prefix, ownerId }) => [partitionKey({ queue, prefix }), ownerId] as const),
    ),
  );
}

function laneCountOf({ prefix }: Partition): number {
  const { from, until } = lanesOf(prefix);
  return until - from;
}

function isChanged(wanted: Wish, known: Wish | undefined): boolean {
  return JSON.stringify(wanted.partitions) !== JSON.stringify(known?.partitions);
}
