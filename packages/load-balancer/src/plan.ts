import { isResting, type Member, type Wish, type WishedPartition } from "@sluice/coordination";
import { assignPartitions, type EpochMs, laneCountOf, type Partition, partitionKey } from "@sluice/core";

export interface PlanInput {
  /** Queues that must have a wish; those that have one already need not be named. */
  readonly queues: readonly string[];
  readonly members: readonly Member[];
  readonly wishes: readonly Wish[];
  /** The group of partitions, by key, that must not come together with others of their group. */
  readonly groups: ReadonlyMap<string, string>;
  /** Partitions, by key, that stay where they are unless their owner goes. Default: none. */
  readonly held?: ReadonlySet<string>;
  /** Wall time. */
  readonly now: EpochMs;
  /** A partition that moved stays for so long, unless its owner goes. */
  readonly restMs: number;
  /** False: only what is without an owner is given one. */
  readonly mayMove: boolean;
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
export function plan(input: PlanInput): Plan {
  const { queues, members, wishes, groups } = input;
  const able = members.filter(({ isDraining }) => !isDraining);
  if (able.length === 0) return { wishes: [], moved: [] };
  const known = withMissing(wishes, queues);
  const partitions = known.flatMap(shapeOf);
  const current = ownersIn(wishes);
  const owners = assignPartitions({
    // As if every lane had the same load.
    partitions: partitions.map((partition) => {
      const key = partitionKey(partition);
      return { key, load: laneCountOf(partition.prefix), group: groups.get(key) };
    }),
    members: able,
    current,
    pinned: restingIn(known, input),
  });
  const alive = new Set(members.map(({ id }) => id));
  const moved = new Set(
    [...owners].flatMap(([key, ownerId]) => {
      const before = current.get(key);
      return before !== undefined && before !== ownerId && alive.has(before) ? [key] : [];
    }),
  );
  const wanted = known.map((wish) => ({
    ...wish,
    partitions: shapeOf(wish).flatMap((partition): WishedPartition[] => {
      const { prefix } = partition;
      const key = partitionKey(partition);
      const ownerId = owners.get(key);
      if (ownerId === undefined) return [];
      if (moved.has(key)) return [{ prefix, ownerId, restsUntil: input.now + input.restMs }];
      return [{ prefix, ownerId, ...kept(wish, { prefix, ownerId }, input.now) }];
    }),
  }));
  return { wishes: wanted.filter((wish, index) => isChanged(wish, known[index])), moved: [...moved] };
}

function restingIn(wishes: readonly Wish[], { now, mayMove, held }: PlanInput): ReadonlySet<string> {
  return new Set(
    wishes.flatMap(({ queue, partitions }) =>
      partitions
        .map(({ prefix, restsUntil }) => ({ key: partitionKey({ queue, prefix }), restsUntil }))
        .filter(({ key, restsUntil }) => !mayMove || isResting(restsUntil, now) || held?.has(key) === true)
        .map(({ key }) => key),
    ),
  );
}

/** What goes on with the same owner: a rest that is not over, and why it was given to it. */
function kept(
  { partitions }: Wish,
  { prefix, ownerId }: WishedPartition,
  now: EpochMs,
): Pick<WishedPartition, "restsUntil" | "heldAt"> {
  const before = partitions.find((partition) => partition.prefix === prefix);
  if (before?.ownerId !== ownerId) return {};
  const { restsUntil, heldAt } = before;
  return { ...(isResting(restsUntil, now) && { restsUntil }), ...(heldAt !== undefined && { heldAt }) };
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

/** A rest that is over is no change: it goes with the next one. */
function isChanged(wanted: Wish, known: Wish | undefined): boolean {
  const placed = (wish: Wish | undefined) => wish?.partitions.map(({ prefix, ownerId }) => [prefix, ownerId]);
  return JSON.stringify(placed(wanted)) !== JSON.stringify(placed(known));
}
