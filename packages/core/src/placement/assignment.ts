// Which member owns which partition. Weighted rendezvous hashing says where a partition would like to be; capacity says how
// much fits. Every move costs a take-over, so an assignment that is nearly even is left alone.
import { combine, hash32, hashToUnit } from "../hash.ts";

export interface Assignee {
  readonly id: string;
  /** Relative to the others; positive. */
  readonly capacity: number;
}

export interface Assignable {
  readonly key: string;
  /** Positive, in any unit that is the same for all; with equal loads their number is evened out. */
  readonly load: number;
  /** Those of one group that are with different members are not brought together again: they are too much for one. */
  readonly group?: string | undefined;
}

export interface AssignmentConfig {
  /** A member whose load is within this share of what its capacity deserves gives nothing away; default 0.1. */
  readonly deadBand: number;
  /** At most so much of a member's excess moves at once, but always one partition; default 0.6. */
  readonly excessMoved: number;
  /** Partitions that may leave, and that may reach, a member at once; those without an owner do not count. Default 2. */
  readonly movesPerMemberMax: number;
}

export const defaultAssignmentConfig: AssignmentConfig = { deadBand: 0.1, excessMoved: 0.6, movesPerMemberMax: 2 };

export interface AssignmentInput {
  readonly partitions: readonly Assignable[];
  /** Empty: nothing can be assigned. */
  readonly members: readonly Assignee[];
  /** Partition → member; members that are gone, and partitions that are, may be in it. */
  readonly current: ReadonlyMap<string, string>;
  /** Partitions that must not move now: they moved a moment ago. */
  readonly pinned?: ReadonlySet<string>;
}

/**
 * Partition → member, for every partition, in the order of their keys. Does not depend on the order of its input. Called again
 * and again with its own answer it comes to rest: then no partition above the dead band can move and lower the higher of the
 * two relative loads.
 */
export function assignPartitions(
  input: AssignmentInput,
  config: AssignmentConfig = defaultAssignmentConfig,
): ReadonlyMap<string, string> {
  if (input.members.length === 0) return new Map();
  const members = [...input.members]
    .sort(byId)
    .map((member): Member => ({ ...member, hash: hash32(member.id), load: 0, left: 0, reached: 0 }));
  const partitions = [...input.partitions].sort(byKey);
  const owners = keepOwners(partitions, members, input.current);
  placeOrphans(partitions, members, owners, config);
  if (!isWaveOfOrphans(partitions, input)) rebalance(partitions, members, owners, input.pinned ?? new Set(), config);
  return new Map(partitions.map(({ key }) => [key, (owners.get(key) as Member).id]));
}

interface Member extends Assignee {
  readonly hash: number;
  load: number;
  /** Partitions moved away and here by this call. */
  left: number;
  reached: number;
}
type Owners = Map<string, Member>;

function keepOwners(
  partitions: readonly Assignable[],
  members: readonly Member[],
  current: ReadonlyMap<string, string>,
): Owners {
  const memberOf = new Map(members.map((member) => [member.id, member]));
  const owners: Owners = new Map();
  for (const partition of partitions) {
    const owner = memberOf.get(current.get(partition.key) ?? "");
    if (owner !== undefined) give(partition, owner, owners);
  }
  return owners;
}

/**
 * To the member that the hash prefers among those with room; if none has, to the one that is least loaded afterwards. Those
 * without a partition of the same group go first.
 */
function placeOrphans(
  partitions: readonly Assignable[],
  members: readonly Member[],
  owners: Owners,
  config: AssignmentConfig,
): void {
  const roomMax = fairLoad(partitions, members) * (1 + config.deadBand);
  for (const partition of partitions) {
    if (owners.has(partition.key)) continue;
    const keyHash = hash32(partition.key);
    const isStranger = (member: Member) => !meets(partition, member, partitions, owners);
    const owner =
      preferred(keyHash, members, (member) => relative(member, partition.load) <= roomMax && isStranger(member)) ??
      preferred(keyHash, members, (member) => relative(member, partition.load) <= roomMax) ??
      best(members, (member) => relative(member, partition.load));
    give(partition, owner, owners);
  }
}

/**
 * The member that the hash likes best among those that may. Of all together, in one pass without lists: ten thousand
 * partitions and a thousand members make ten million looks.
 */
function preferred(keyHash: number, members: readonly Member[], may: (member: Member) => boolean): Member | undefined {
  let found: Member | undefined;
  let highest = Number.NEGATIVE_INFINITY;
  for (const member of members) {
    const score = affinity(keyHash, member);
    if (score > highest && may(member)) {
      found = member;
      highest = score;
    }
  }
  return found;
}

/** A member died: let the take-overs happen before anything moves that need not. */
function isWaveOfOrphans(partitions: readonly Assignable[], { current, members }: AssignmentInput): boolean {
  const ids = new Set(members.map(({ id }) => id));
  return partitions.some(({ key }) => current.has(key) && !ids.has(current.get(key) as string));
}

function rebalance(
  partitions: readonly Assignable[],
  members: readonly Member[],
  owners: Owners,
  pinned: ReadonlySet<string>,
  config: AssignmentConfig,
): void {
  const fair = fairLoad(partitions, members);
  const excessOf = (member: Member) => Math.max(0, member.load - fair * member.capacity);
  const mayLeave = new Map(members.map((member) => [member, config.excessMoved * excessOf(member)]));
  const rules: MoveRules = {
    // Somebody too full gives, or somebody too empty (a new member) takes.
    mayGive: (from, to) =>
      from.left < config.movesPerMemberMax &&
      to.reached < config.movesPerMemberMax &&
      (relative(from) > fair * (1 + config.deadBand) || relative(to) < fair * (1 - config.deadBand)),
    mayMove: (partition, from, to) =>
      (from.left === 0 || partition.load <= (mayLeave.get(from) ?? 0)) &&
      relative(to, partition.load) < relative(from) &&
      !meets(partition, to, partitions, owners),
  };
  const movable = partitions.filter(({ key }) => !pinned.has(key));
  for (;;) {
    const move = bestMove(movable, members, owners, rules);
    if (move === undefined) return;
    const { partition, from, to } = move;
    mayLeave.set(from, (mayLeave.get(from) ?? 0) - partition.load);
    from.load -= partition.load;
    from.left += 1;
    to.reached += 1;
    give(partition, to, owners);
  }
}

interface MoveRules {
  mayGive(from: Member, to: Member): boolean;
  mayMove(partition: Assignable, from: Member, to: Member): boolean;
}
interface Move {
  readonly partition: Assignable;
  readonly from: Member;
  readonly to: Member;
}

/** From the fullest to the emptiest that may; of the partitions there, the one that prefers its new owner most. */
function bestMove(
  partitions: readonly Assignable[],
  members: readonly Member[],
  owners: Owners,
  rules: MoveRules,
): Move | undefined {
  const fullestFirst = [...members].sort((a, b) => relative(b) - relative(a) || byId(a, b));
  const emptiestFirst = [...fullestFirst].reverse();
  for (const from of fullestFirst) {
    const takers = emptiestFirst.filter((to) => to !== from && rules.mayGive(from, to));
    const own = takers.length === 0 ? [] : partitions.filter(({ key }) => owners.get(key) === from);
    for (const to of takers) {
      const allowed = own.filter((partition) => rules.mayMove(partition, from, to));
      if (allowed.length > 0) return { partition: best(allowed, ({ key }) => -affinity(hash32(key), to)), from, to };
    }
  }
  return undefined;
}

/** Whether the member has another partition of the same group. */
function meets(partition: Assignable, member: Member, partitions: readonly Assignable[], owners: Owners): boolean {
  const { key, group } = partition;
  if (group === undefined) return false;
  return partitions.some((other) => other.group === group && other.key !== key && owners.get(other.key) === member);
}

function give(partition: Assignable, owner: Member, owners: Owners): void {
  owners.set(partition.key, owner);
  owner.load += partition.load;
}

/** Load per unit of capacity, with `added` on top. */
function relative(member: Member, added = 0): number {
  return (member.load + added) / member.capacity;
}

function fairLoad(partitions: readonly Assignable[], members: readonly Member[]): number {
  return sum(partitions.map(({ load }) => load)) / sum(members.map(({ capacity }) => capacity));
}

/** Weighted rendezvous: the share of keys for which a member has the highest score is its share of the capacity. */
function affinity(keyHash: number, member: Member): number {
  return -member.capacity / Math.log(hashToUnit(combine(keyHash, member.hash)));
}

/** The one with the smallest rank; the first of equals. */
function best<T>(items: readonly T[], rankOf: (item: T) => number): T {
  return items.reduce((least, item) => (rankOf(item) < rankOf(least) ? item : least));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function byId(a: Assignee, b: Assignee): number {
  return a.id < b.id ? -1 : 1;
}

function byKey(a: Assignable, b: Assignable): number {
  return a.key < b.key ? -1 : 1;
}
