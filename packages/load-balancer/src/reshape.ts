// The rule: at most one change of shape at a time. A partition that stays hot shares its backlog with a member that has less
// to do; two halves that stay quiet become one partition again.
//
// A merge must not bring back what the split was for. Backlog alone cannot tell: the halves have none just because they are
// apart. So a split notes at which rate the partition could not keep up, and its halves stay apart while they dispatch about
// as much.
import { isResting, type Member, mergeWish, moveWish, splitWish, type Wish } from "@sluice/coordination";
import { type EpochMs, halvesOf, laneCountOf, type Prefix, parentOf, partitionKey } from "@sluice/core";
import { type Heats, idleLoad } from "./heat.ts";
import type { OwnerLoads } from "./owner-loads.ts";

/** Durations in ms. */
export interface ReshapeConfig {
  /** A partition is relieved when it was hot for so long: three reports. Default 6 s. */
  readonly hotForMs: number;
  /** Halves are merged when both were quiet for so long. Default 5 min. */
  readonly quietForMs: number;
  /** What was moved stays for so long, unless its owner goes; and so does the shape of a queue that was changed. Default 30 s. */
  readonly restMs: number;
  /** Halves are merged when they dispatch less than this share of the rate at which they were split. Default 0.5. */
  readonly mergeRateShare: number;
}
export const defaultReshapeConfig: ReshapeConfig = {
  hotForMs: 6_000,
  quietForMs: 300_000,
  restMs: 30_000,
  mergeRateShare: 0.5,
};

export interface ReshapeInput {
  readonly wishes: readonly Wish[];
  readonly members: readonly Member[];
  readonly heats: Heats;
  /** Default: nobody says how busy it is. */
  readonly ownerLoads?: OwnerLoads;
  readonly now: { readonly wall: EpochMs; readonly monotonic: number };
}

export interface Reshape {
  readonly kind: "split" | "merge" | "move";
  /** To be written. */
  readonly wish: Wish;
  readonly prefix: Prefix;
  readonly why: Why;
}

/** The rule that asked for a change, and what it went by: names say the unit. */
export interface Why {
  readonly rule: "backlog" | "load" | "quiet";
  readonly figures: Readonly<Record<string, number>>;
}

/** The change that is most urgent. Undefined: all is well, or nothing would help, or it rests. */
export function reshape(input: ReshapeInput, config: ReshapeConfig = defaultReshapeConfig): Reshape | undefined {
  const now = input.now.wall;
  const rest = { now, until: now + config.restMs };
  const ready = input.wishes.filter(({ shapeRestsUntil }) => !isResting(shapeRestsUntil, now));
  const members = busyMembers(input, groupsOf(input, config));
  const quietForMs = ({ since }: Candidate) => input.now.monotonic - since;
  const all = ready.flatMap((wish) =>
    wish.partitions.map((partition): Candidate => candidateOf(wish, partition, input)),
  );
  // Where nothing is dispatched, everything waits for agents, and another owner would wait with them.
  const isHot = ({ heat, since, dispatchedPerSecond }: Candidate) =>
    heat === "hot" && input.now.monotonic - since >= config.hotForMs && dispatchedPerSecond > 0;
  const hot = all.filter(isHot);
  for (const candidate of hot.sort(byUrgency)) {
    const change = relieve(candidate, members, rest);
    if (change !== undefined) return change;
  }
  const isQuiet = ({ heat, since }: Candidate) => heat === "quiet" && input.now.monotonic - since >= config.quietForMs;
  for (const upper of all.filter((candidate) => candidate.prefix.endsWith("1") && isQuiet(candidate))) {
    const lower = all.find(({ wish, prefix }) => wish === upper.wish && prefix === siblingOf(upper.prefix));
    if (lower === undefined || !isQuiet(lower)) continue;
    const change = merge([lower, upper], members, rest, config);
    if (change !== undefined)
      return {
        ...change,
        why: { rule: "quiet", figures: { quietForMs: Math.min(quietForMs(lower), quietForMs(upper)) } },
      };
  }
  return undefined;
}

/**
 * The group of each partition, by key, that must not come together with others of its group: those of a queue that have a
 * backlog, or that were split because they were too much for one member and still are.
 */
export function groupsOf(
  { wishes, heats }: Pick<ReshapeInput, "wishes" | "heats">,
  config: ReshapeConfig = defaultReshapeConfig,
): ReadonlyMap<string, string> {
  const groups = new Map<string, string>();
  for (const { queue, partitions, splitAt = {} } of wishes) {
    const rateOf = (inner: Prefix) =>
      partitions.reduce(
        (sum, { prefix }) => sum + (prefix.startsWith(inner) ? dispatched(heats, queue, prefix) : 0),
        0,
      );
    const tooMuch = Object.keys(splitAt).filter((inner) => !isLittle(rateOf(inner), splitAt[inner], config));
    for (const { prefix } of partitions) {
      const key = partitionKey({ queue, prefix });
      if (hasBacklog(heats, key) || tooMuch.some((inner) => prefix.startsWith(inner))) groups.set(key, queue);
    }
  }
  return groups;
}

/**
 * Partitions, by key, that were given to their owner because another one had too much to do, and that would be too much for it
 * still: they are not moved for the sake of evenness.
 */
export function heldIn(
  { wishes, heats }: Pick<ReshapeInput, "wishes" | "heats">,
  config: ReshapeConfig = defaultReshapeConfig,
): ReadonlySet<string> {
  return new Set(
    wishes.flatMap(({ queue, partitions }) =>
      partitions.flatMap(({ prefix, heldAt }) => {
        const isHeld = heldAt !== undefined && !isLittle(dispatched(heats, queue, prefix), heldAt, config);
        return isHeld ? [partitionKey({ queue, prefix })] : [];
      }),
    ),
  );
}

interface Candidate {
  readonly wish: Wish;
  readonly prefix: Prefix;
  readonly ownerId: string;
  readonly isPinned: boolean;
  readonly heat: string | undefined;
  readonly since: number;
  readonly backlogAgeMs: number;
  readonly dispatchedPerSecond: number;
  readonly why: Why;
}

function candidateOf(wish: Wish, partition: Wish["partitions"][number], { heats, now }: ReshapeInput): Candidate {
  const { prefix, ownerId, restsUntil } = partition;
  const known = heats.get(partitionKey({ queue: wish.queue, prefix }));
  const { waiting, backlogAgeMs, dispatchedPerSecond } = known?.load ?? idleLoad;
  return {
    wish,
    prefix,
    ownerId,
    isPinned: isResting(restsUntil, now.wall),
    heat: known?.heat,
    since: known?.since ?? now.monotonic,
    backlogAgeMs,
    dispatchedPerSecond,
    why: { rule: "backlog", figures: { backlogAgeMs, waiting, dispatchedPerSecond } },
  };
}

/** A member that can own something. */
interface BusyMember {
  readonly id: string;
  readonly capacity: number;
  readonly lanes: number;
  /** Those that have a backlog, or a part of a load that is too much for one. */
  readonly busyLanes: number;
  /** Its thread has no time for more. */
  readonly isFull: boolean;
  /** Queues of which it has such a partition. */
  readonly queues: ReadonlySet<string>;
  /** The same, where it has two or more. */
  readonly crowded: ReadonlySet<string>;
}

function busyMembers(
  { wishes, members, ownerLoads }: ReshapeInput,
  groups: ReadonlyMap<string, string>,
): ReadonlyMap<string, BusyMember> {
  const owned = wishes.flatMap(({ queue, partitions }) =>
    partitions.map(({ prefix, ownerId }) => ({
      queue,
      ownerId,
      lanes: laneCountOf(prefix),
      isBusy: groups.has(partitionKey({ queue, prefix })),
    })),
  );
  const able = members.filter(({ isDraining }) => !isDraining);
  return new Map(
    able.map(({ id, capacity }) => {
      const mine = owned.filter(({ ownerId }) => ownerId === id);
      const busy = mine.filter((partition) => partition.isBusy);
      const queues = busy.map(({ queue }) => queue);
      return [
        id,
        {
          id,
          capacity,
          lanes: sum(mine),
          busyLanes: sum(busy),
          isFull: ownerLoads?.get(id)?.level === "high",
          queues: new Set(queues),
          crowded: new Set(queues.filter((queue, index) => queues.indexOf(queue) !== index)),
        },
      ];
    }),
  );
}

/**
 * Gives the partition, if its owner has another busy one of the same queue, or else a half of it, to a member that has none.
 * So a queue gets no more busy parts than there are members.
 */
function relieve(
  { wish, prefix, ownerId, isPinned, dispatchedPerSecond, why }: Candidate,
  members: ReadonlyMap<string, BusyMember>,
  rest: { readonly now: EpochMs; readonly until: EpochMs },
): Reshape | undefined {
  const owner = members.get(ownerId);
  if (owner === undefined) return undefined;
  const isMove = owner.crowded.has(wish.queue);
  const lanes = isMove ? laneCountOf(prefix) : laneCountOf(prefix) / 2;
  const takers = [...members.values()].filter(
    (member) =>
      member !== owner &&
      !member.isFull &&
      !member.queues.has(wish.queue) &&
      // Otherwise it would only be the next to be relieved.
      (member.busyLanes + lanes) / member.capacity < owner.busyLanes / owner.capacity,
  );
  const [taker] = takers.sort(emptiestFirst);
  if (taker === undefined) return undefined;
  if (isMove) {
    const moved = isPinned ? undefined : moveWish(wish, { prefix, ownerId: taker.id }, rest);
    return moved && { kind: "move", prefix, wish: { ...moved, shapeRestsUntil: rest.until }, why };
  }
  const split = splitWish(wish, { prefix, upperOwnerId: taker.id, dispatchedPerSecond }, rest);
  return split && { kind: "split", prefix, wish: split, why };
}

/** The halves have the same wish. The owner that has less to do keeps both. */
function merge(
  halves: readonly [Candidate, Candidate],
  members: ReadonlyMap<string, BusyMember>,
  rest: { readonly now: EpochMs; readonly until: EpochMs },
  config: ReshapeConfig,
): Omit<Reshape, "why"> | undefined {
  const [{ wish, prefix: half }] = halves;
  const prefix = parentOf(half) ?? "";
  const rate = halves.reduce((total, { dispatchedPerSecond }) => total + dispatchedPerSecond, 0);
  if (halves.some(({ isPinned }) => isPinned) || !isLittle(rate, wish.splitAt?.[prefix], config)) return undefined;
  const owners = halves.flatMap(({ ownerId }) => members.get(ownerId) ?? []);
  const [owner] = owners.sort(emptiestFirst);
  const merged = owner && mergeWish(wish, { prefix, ownerId: owner.id }, rest);
  return merged && { kind: "merge", prefix, wish: merged };
}

/** Whether halves that dispatch so much were not the reason for their split. */
function isLittle(rate: number, splitAt: number | undefined, { mergeRateShare }: ReshapeConfig): boolean {
  return splitAt === undefined || rate <= Math.max(1, mergeRateShare * splitAt);
}

function hasBacklog(heats: Heats, key: string): boolean {
  const heat = heats.get(key)?.heat;
  return heat === "hot" || heat === "busy";
}

function dispatched(heats: Heats, queue: string, prefix: Prefix): number {
  return heats.get(partitionKey({ queue, prefix }))?.load.dispatchedPerSecond ?? 0;
}

function siblingOf(prefix: Prefix): Prefix | undefined {
  const parent = parentOf(prefix);
  return parent === undefined ? undefined : halvesOf(parent)?.find((half) => half !== prefix);
}

function emptiestFirst(a: BusyMember, b: BusyMember): number {
  return (
    a.busyLanes / a.capacity - b.busyLanes / b.capacity || a.lanes / a.capacity - b.lanes / b.capacity || byId(a, b)
  );
}

function byId(a: { readonly id: string }, b: { readonly id: string }): number {
  return a.id < b.id ? -1 : 1;
}

/** The oldest backlog first. */
function byUrgency(a: Candidate, b: Candidate): number {
  return b.backlogAgeMs - a.backlogAgeMs || (partitionKey(named(a)) < partitionKey(named(b)) ? -1 : 1);
}

function named({ wish, prefix }: Candidate): { readonly queue: string; readonly prefix: Prefix } {
  return { queue: wish.queue, prefix };
}

function sum(partitions: readonly { readonly lanes: number }[]): number {
  return partitions.reduce((total, { lanes }) => total + lanes, 0);
}
