// I7: one true owner per lane. Claims on overlapping prefixes exclude each other; an epoch of a lane belongs to one owner; a
// floor is raised only by an owner whose claim stood when it read the floor, or later, and to the epoch that follows from both.
import type { Epoch } from "@sluice/core";
import { createChecker } from "./checker.ts";
import type { ClaimHeld, FloorsRead, Raised, StoreEvent, Violation } from "./history.ts";
import { lanesOf } from "./lanes.ts";
import { groupBy } from "./rows.ts";

const invariant = "I7";

export const i7 = createChecker({
  invariant,
  about: "A lane has one true owner: one claim at a time, one owner per epoch, no floor raised without a claim.",
  needs: ["store", "claims"],
  check: ({ store, claims }) => [...overlapping(claims), ...shared(store), ...unclaimed(store, claims)],
});

function overlapping(claims: readonly ClaimHeld[]): Violation[] {
  return [...groupBy(claims, ({ queue }) => queue).values()].flatMap((ofQueue) =>
    ofQueue.flatMap((later, index) => {
      const earlier = ofQueue.slice(0, index).find((other) => shareLanes(other, later) && shareTime(other, later));
      if (!earlier) return [];
      return [{ invariant, message: `${describe(later)} was made while ${describe(earlier)} stood` }];
    }),
  );
}

function shareLanes(one: ClaimHeld, other: ClaimHeld): boolean {
  return one.prefix.startsWith(other.prefix) || other.prefix.startsWith(one.prefix);
}

/** At one instant one may go and the other come. */
function shareTime(one: ClaimHeld, other: ClaimHeld): boolean {
  return endOf(one) > other.from && endOf(other) > one.from;
}

function endOf({ until }: ClaimHeld): number {
  return until ?? Number.POSITIVE_INFINITY;
}

function shared(store: readonly StoreEvent[]): Violation[] {
  const owners = new Map<string, string>();
  return raisesOf(store).flatMap(({ by, at, owner }) => {
    const { from, until } = lanesOf(owner.prefix);
    const others = new Set<string>();
    for (let lane = from; lane < until; lane++) {
      const key = `${owner.queue}/${lane}@${owner.epoch}`;
      const other = owners.get(key);
      if (other !== undefined) others.add(other);
      owners.set(key, by);
    }
    const where = `${owner.queue}/${owner.prefix}`;
    return [...others].map((other) => {
      const message = `${by} raised the floor of ${where} to ${owner.epoch} at ${at} ms, an epoch of ${other}`;
      return { invariant, message };
    });
  });
}

function unclaimed(store: readonly StoreEvent[], claims: readonly ClaimHeld[]): Violation[] {
  const claimsOf = groupBy(claims, (claim) => `${claim.ownerId} ${claim.queue}/${claim.prefix}`);
  const reads = new Map<string, FloorsRead[]>();
  return store.flatMap((event) => {
    if (event.kind === "floors read") {
      const key = `${event.by} ${event.queue}`;
      const ofQueue = reads.get(key);
      if (ofQueue) ofQueue.push(event);
      else reads.set(key, [event]);
    }
    if (event.kind !== "raised") return [];
    const { by, at, owner } = event;
    const mine = claimsOf.get(`${by} ${owner.queue}/${owner.prefix}`) ?? [];
    const read = reads.get(`${by} ${owner.queue}`) ?? [];
    if (mine.some((claim) => read.some((floors) => allows(claim, floors, event)))) return [];
    const message = `${by} raised the floor of ${owner.queue}/${owner.prefix} to ${owner.epoch} at ${at} ms, without a claim that stood then`;
    return [{ invariant, message }];
  });
}

/** The order of a take-over: claim, read the floor, look whether the claim stands, raise. */
function allows(claim: ClaimHeld, { at, floors }: FloorsRead, { at: raisedAt, owner }: Raised): boolean {
  const stood = claim.from <= at && endOf(claim) >= at && at <= raisedAt;
  return stood && owner.epoch === epochAfter(claim, floors);
}

function epochAfter({ prefix, revision }: ClaimHeld, floors: readonly Epoch[]): Epoch {
  const { from, until } = lanesOf(prefix);
  return Math.max(revision, Math.max(0, ...floors.slice(from, until)) + 1);
}

function raisesOf(store: readonly StoreEvent[]): Raised[] {
  return store.filter((event) => event.kind === "raised");
}

function describe({ ownerId, queue, prefix, revision, from, until }: ClaimHeld): string {
  return `the claim of ${ownerId} on ${queue}/${prefix} @${revision} (${from} to ${until ?? "the end"} ms)`;
}
