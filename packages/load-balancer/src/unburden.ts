// The rule for owners that have too much to do although nothing waits for long, or before it does: at most one change at a time.
// Its busiest partition goes to a member with little to do; a half of it, if it is alone there or does not fit as a whole.
//
// Nothing comes back by itself: what was moved notes at which rate, and is not moved for the sake of evenness while it dispatches
// about as much; halves stay apart by the same rule as after any split. And nothing is given to who would then have too much.
import { isResting, type Member, moveWish, splitWish, type Wish } from "@sluice/coordination";
import { type EpochMs, laneCountOf, type Prefix, parentOf, partitionKey } from "@sluice/core";
import type { Heats } from "./heat.ts";
import type { OwnerLoad, OwnerLoadConfig, OwnerLoads } from "./owner-loads.ts";
import type { Reshape, ReshapeConfig } from "./reshape.ts";

export interface UnburdenInput {
  readonly wishes: readonly Wish[];
  readonly members: readonly Member[];
  readonly heats: Heats;
  readonly ownerLoads: OwnerLoads;
  readonly now: { readonly wall: EpochMs; readonly monotonic: number };
}

type Config = OwnerLoadConfig & Pick<ReshapeConfig, "restMs">;

/** Undefined: nobody has too much to do, or nobody can help, or it rests. */
export function unburden(input: UnburdenInput, config: Config): Reshape | undefined {
  const { members, ownerLoads, now } = input;
  const loaded = members.flatMap((member): LoadedMember[] => {
    const load = ownerLoads.get(member.id);
    const isSettled = load !== undefined && now.monotonic - load.since >= config.ownerLoadForMs;
    return isSettled && !member.isDraining ? [{ ...member, ...load }] : [];
  });
  const burdened = loaded.filter(({ level }) => level === "high").sort((a, b) => b.busy - a.busy || byId(a, b));
  const takers = loaded.filter(({ level }) => level === "low").sort((a, b) => a.busy - b.busy || byId(a, b));
  for (const owner of takers.length === 0 ? [] : burdened) {
    const change = relieve(owner, takers, input, config);
    if (change !== undefined) return change;
  }
  return undefined;
}

/** To move a partition is cheaper than to split one, and helps too little when it is less than this share of the busiest one. */
const moveShareMin = 0.1;

/** Of what a partition dispatched when it was split: so much in one half means that it will not be divided by splits. */
const lumpShare = 0.9;

type LoadedMember = Member & OwnerLoad;

interface Part {
  readonly wish: Wish;
  readonly prefix: Prefix;
  readonly isPinned: boolean;
  readonly perSecond: number;
  /** Of its owner's time: as if every attempt took the same. */
  readonly busy: number;
}

function relieve(
  owner: LoadedMember,
  takers: readonly LoadedMember[],
  input: UnburdenInput,
  config: Config,
): Reshape | undefined {
  const rest = { now: input.now.wall, until: input.now.wall + config.restMs };
  const parts = partsOf(owner, input);
  const isFree = ({ wish, isPinned }: Part) => !isPinned && !isResting(wish.shapeRestsUntil, rest.now);
  const free = parts.filter(isFree);
  const takerOf = (busy: number) =>
    takers.find((taker) => taker.busy + (busy * owner.capacity) / taker.capacity <= config.ownerLoadMax);
  const why = { rule: "load" as const, figures: { busy: owner.busy } };
  const [busiest] = free;
  if (busiest === undefined) return undefined;
  const whole = parts.length > 1 ? free.find(({ busy }) => takerOf(busy) !== undefined) : undefined;
  const isDivisible = laneCountOf(busiest.prefix) > 1 && !isLump(busiest);
  const halfTaker = isDivisible ? takerOf(busiest.busy / 2) : undefined;
  const isEnough = whole !== undefined && (halfTaker === undefined || whole.busy >= moveShareMin * busiest.busy);
  if (isEnough) {
    const { wish, prefix, perSecond, busy } = whole;
    const moved = moveWish(wish, { prefix, ownerId: takerOf(busy)?.id ?? owner.id, heldAt: perSecond }, rest);
    return moved && { kind: "move", prefix, wish: { ...moved, shapeRestsUntil: rest.until }, why };
  }
  if (halfTaker === undefined) return undefined;
  const { wish, prefix, perSecond } = busiest;
  const half = { prefix, upperOwnerId: halfTaker.id, dispatchedPerSecond: perSecond, heldAt: perSecond / 2 };
  const split = splitWish(wish, half, rest);
  return split && { kind: "split", prefix, wish: split, why };
}

/** The split that made it has not divided the load: it lies in few lanes, as that of a limited account does in one. */
function isLump({ wish, prefix, perSecond }: Part): boolean {
  const before = wish.splitAt?.[parentOf(prefix) ?? prefix];
  return parentOf(prefix) !== undefined && before !== undefined && perSecond > lumpShare * before;
}

/** Those that dispatch anything, the busiest first. */
function partsOf(owner: LoadedMember, { wishes, heats, now }: UnburdenInput): Part[] {
  const own = wishes.flatMap((wish) =>
    wish.partitions
      .filter(({ ownerId }) => ownerId === owner.id)
      .map(({ prefix, restsUntil }) => ({
        ...{ wish, prefix, isPinned: isResting(restsUntil, now.wall) },
        perSecond: heats.get(partitionKey({ queue: wish.queue, prefix }))?.load.dispatchedPerSecond ?? 0,
      })),
  );
  const total = own.reduce((sum, { perSecond }) => sum + perSecond, 0);
  return own
    .filter(({ perSecond }) => perSecond > 0)
    .map((part) => ({ ...part, busy: (owner.busy * part.perSecond) / total }))
    .sort((a, b) => b.perSecond - a.perSecond || (keyOf(a) < keyOf(b) ? -1 : 1));
}

function keyOf({ wish, prefix }: Part): string {
  return partitionKey({ queue: wish.queue, prefix });
}

function byId(a: { readonly id: string }, b: { readonly id: string }): number {
  return a.id < b.id ? -1 : 1;
}
