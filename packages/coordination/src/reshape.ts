// The three changes of a wish that are made on purpose, by the load-balancer's rule or by an operator. Pure: a changed wish,
// which `writeWish` writes if the one that was read still stands; undefined where it does not fit the wish.
import { type EpochMs, halvesOf, type Prefix } from "@sluice/core";
import { isResting, type Wish, type WishedPartition } from "./wishes.ts";

/** What was changed on purpose stays for a while: until `until`. */
export interface Rest {
  readonly now: EpochMs;
  readonly until: EpochMs;
}

/**
 * Splits a partition: its lower half stays with its owner, the upper one goes to `upperOwnerId`. The halves and the shape rest.
 * `dispatchedPerSecond`: it could not keep up at that rate; undefined: it was split for another reason.
 */
export function splitWish(
  wish: Wish,
  { prefix, upperOwnerId, ...options }: SplitOptions,
  rest: Rest,
): Wish | undefined {
  const whole = wish.partitions.find((partition) => partition.prefix === prefix);
  const halves = halvesOf(prefix);
  if (whole === undefined || halves === undefined) return undefined;
  const [lower, upper] = halves;
  const { dispatchedPerSecond, heldAt } = options;
  const parts: readonly WishedPartition[] = [
    { prefix: lower, ownerId: whole.ownerId, restsUntil: rest.until },
    { prefix: upper, ownerId: upperOwnerId, restsUntil: rest.until, ...(heldAt !== undefined && { heldAt }) },
  ];
  return {
    ...wish,
    partitions: kept(wish.partitions, rest).flatMap((partition) => (partition.prefix === prefix ? parts : [partition])),
    shapeRestsUntil: rest.until,
    splitAt: { ...wish.splitAt, ...(dispatchedPerSecond !== undefined && { [prefix]: dispatchedPerSecond }) },
  };
}
export interface SplitOptions {
  readonly prefix: Prefix;
  readonly upperOwnerId: string;
  readonly dispatchedPerSecond?: number | undefined;
  /** Of the upper half, with its new owner. */
  readonly heldAt?: number | undefined;
}

/** Merges the two halves of `prefix`, which both must be partitions, with `ownerId` as their owner. */
export function mergeWish(wish: Wish, { prefix, ownerId }: WishedPartition, rest: Rest): Wish | undefined {
  const [lower, upper] = halvesOf(prefix) ?? [];
  const isHalf = (partition: WishedPartition) => partition.prefix === lower || partition.prefix === upper;
  if (wish.partitions.filter(isHalf).length !== 2) return undefined;
  const whole: WishedPartition = { prefix, ownerId, restsUntil: rest.until };
  const { [prefix]: _, ...splitAt } = wish.splitAt ?? {};
  return {
    ...wish,
    partitions: kept(wish.partitions, rest).flatMap((partition) => {
      if (!isHalf(partition)) return [partition];
      return partition.prefix === lower ? [whole] : [];
    }),
    shapeRestsUntil: rest.until,
    splitAt,
  };
}

/** Gives a partition to another owner, with whom it rests. The shape's rest stays as it is. */
export function moveWish(wish: Wish, { prefix, ownerId, heldAt }: WishedPartition, rest: Rest): Wish | undefined {
  if (!wish.partitions.some((partition) => partition.prefix === prefix)) return undefined;
  return {
    ...wish,
    partitions: kept(wish.partitions, rest).map((partition) =>
      partition.prefix === prefix
        ? { prefix, ownerId, restsUntil: rest.until, ...(heldAt !== undefined && { heldAt }) }
        : partition,
    ),
  };
}

/** Without rests that are over. */
function kept(partitions: readonly WishedPartition[], { now }: Rest): WishedPartition[] {
  return partitions.map(({ restsUntil, ...partition }) => ({
    ...partition,
    ...(isResting(restsUntil, now) && { restsUntil }),
  }));
}
