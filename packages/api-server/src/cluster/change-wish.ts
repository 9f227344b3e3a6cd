// What an operator commands, as a change of a wish. Pure; every refusal says what there is instead.
//
// A command that finds what it wants is answered as done: its answer may have been lost the first time.
import { type Member, mergeWish, moveWish, type Rest, splitWish, type Wish } from "@sluice/coordination";
import { AppError, halvesOf, laneBits, laneCountOf, type Prefix } from "@sluice/core";

export interface ChangeInput {
  /** Of the queue. */
  readonly wish: Wish;
  /** Of all queues. */
  readonly wishes: readonly Wish[];
  readonly members: readonly Member[];
  readonly rest: Rest;
}

/** The wish to be written. Undefined: it is so already. */
export type Change = (input: ChangeInput) => Wish | undefined;

/** Throws `PARTITION_NOT_FOUND` and `PARTITION_TOO_SMALL`. */
export function split(prefix: Prefix): Change {
  return ({ wish, wishes, members, rest }) => {
    const halves = halvesOf(prefix);
    const whole = wish.partitions.find((partition) => partition.prefix === prefix);
    if (whole === undefined) {
      if (halves?.every((half) => hasPartition(wish, half))) return undefined;
      throw partitionNotFound(wish, prefix);
    }
    const upperOwnerId = emptiest(whole.ownerId, { queue: wish.queue, prefix, wishes, members });
    const changed = splitWish(wish, { prefix, upperOwnerId }, rest);
    if (changed !== undefined) return changed;
    throw new AppError(
      "precondition",
      "PARTITION_TOO_SMALL",
      `partition ${nameOf(wish.queue, prefix)} is a single lane: a queue is split into at most ${2 ** laneBits}`,
      { field: "prefix" },
    );
  };
}

/** Throws `HALVES_NOT_FOUND`. */
export function merge(prefix: Prefix): Change {
  return ({ wish, wishes, members, rest }) => {
    if (hasPartition(wish, prefix)) return undefined;
    const halves: readonly Prefix[] = halvesOf(prefix) ?? [];
    const owners = wish.partitions.filter(({ prefix: other }) => halves.includes(other)).map(({ ownerId }) => ownerId);
    const ownerId = leastLanes(owners, wishes, members) ?? owners[0] ?? "";
    const changed = mergeWish(wish, { prefix, ownerId }, rest);
    if (changed !== undefined) return changed;
    const wanted = halves.map((half) => nameOf(wish.queue, half)).join(" and ");
    throw new AppError(
      "precondition",
      "HALVES_NOT_FOUND",
      `${wanted || "its halves"} must both be partitions, to be merged; ${listed(wish)}`,
      { field: "prefix" },
    );
  };
}

/** Throws `PARTITION_NOT_FOUND`, `MEMBER_NOT_FOUND` and `MEMBER_DRAINING`. */
export function move(prefix: Prefix, to: string): Change {
  return ({ wish, members, rest }) => {
    const member = members.find(({ id }) => id === to);
    if (member === undefined) {
      const known = members.map(({ id }) => id).join(", ") || "none";
      throw new AppError("not_found", "MEMBER_NOT_FOUND", `there is no scheduler ${to}; there are: ${known}`, {
        field: "to",
      });
    }
    if (member.isDraining) {
      throw new AppError("precondition", "MEMBER_DRAINING", `scheduler ${to} is about to leave; choose another one`, {
        field: "to",
      });
    }
    const changed = moveWish(wish, { prefix, ownerId: to }, rest);
    if (changed === undefined) throw partitionNotFound(wish, prefix);
    const before = wish.partitions.find((partition) => partition.prefix === prefix);
    // The rest of a move that was made a moment ago is as good.
    const isMoved = before?.ownerId === to && (before.restsUntil ?? 0) > rest.until - repeatedWithinMs;
    return isMoved ? undefined : changed;
  };
}

const repeatedWithinMs = 60_000;

function hasPartition(wish: Wish, prefix: Prefix): boolean {
  return wish.partitions.some((partition) => partition.prefix === prefix);
}

function partitionNotFound(wish: Wish, prefix: Prefix): AppError {
  const message = `there is no partition ${nameOf(wish.queue, prefix)}; ${listed(wish)}`;
  return new AppError("not_found", "PARTITION_NOT_FOUND", message, { field: "prefix" });
}

/** At most 32. */
function listed({ queue, partitions }: Wish): string {
  return `queue ${queue} has: ${partitions.map(({ prefix }) => nameOf(queue, prefix)).join(", ")}`;
}

/** As people write it. */
function nameOf(queue: string, prefix: Prefix): string {
  return prefix === "" ? queue : `${queue}/${prefix}`;
}

interface Split {
  readonly queue: string;
  readonly prefix: Prefix;
  readonly wishes: readonly Wish[];
  readonly members: readonly Member[];
}

/** Who has the fewest lanes of the queue, for its capacity, once the upper half is his; then of all queues. */
function emptiest(ownerId: string, { queue, prefix, wishes, members }: Split): string {
  const half = laneCountOf(prefix) / 2;
  const after = (id: string, of: readonly Wish[]) => lanesOf(id, of) + (id === ownerId ? 0 : half);
  const own = wishes.filter((wish) => wish.queue === queue);
  const ranked = members
    .filter(({ isDraining }) => !isDraining)
    .map(({ id, capacity }) => ({ id, ranks: [after(id, own) / capacity, after(id, wishes) / capacity] }));
  return ranked.sort(byRanks)[0]?.id ?? ownerId;
}

function leastLanes(ids: readonly string[], wishes: readonly Wish[], members: readonly Member[]): string | undefined {
  const ranked = members
    .filter(({ id, isDraining }) => ids.includes(id) && !isDraining)
    .map(({ id, capacity }) => ({ id, ranks: [lanesOf(id, wishes) / capacity] }));
  return ranked.sort(byRanks)[0]?.id;
}

function lanesOf(id: string, wishes: readonly Wish[]): number {
  const own = wishes.flatMap(({ partitions }) => partitions.filter(({ ownerId }) => ownerId === id));
  return own.reduce((sum, { prefix }) => sum + laneCountOf(prefix), 0);
}

interface Ranked {
  readonly id: string;
  readonly ranks: readonly number[];
}

function byRanks(a: Ranked, b: Ranked): number {
  for (const [index, rank] of a.ranks.entries()) {
    const difference = rank - (b.ranks[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.id < b.id ? -1 : 1;
}
