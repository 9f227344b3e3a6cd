// Every transaction here may be tried again, by a caller or inside a client library, after its answer was lost. So each
// looks for its own earlier success before it reports a failure.
import { type Epoch, isRetryable, laneBits, type Partition, type Prefix } from "@sluice/core";
import { isLeaseGone } from "./errors.ts";
import type { Condition, Coordinator, Entry, Lease } from "./index.ts";
import { claimKey, claimsPrefix, wishKey } from "./keys.ts";
import { parseWish } from "./wishes.ts";

/** The key that makes its holder the owner of a partition. */
export interface Claim extends Partition {
  readonly createRevision: number;
}

/**
 * Claims a partition for `ownerId` under `lease`, in one transaction that requires that the wish names this owner and that
 * no claim exists on this prefix, an ancestor or a descendant. Recognises its own earlier success. Undefined: not to be had.
 */
export async function claim(
  coordinator: Coordinator,
  { queue, prefix, ownerId, lease }: Partition & { readonly ownerId: string; readonly lease: Lease },
): Promise<Claim | undefined> {
  const wishEntry = await coordinator.get(wishKey(queue));
  if (wishEntry === undefined || !wishes(wishEntry, { prefix, ownerId })) return undefined;
  const key = claimKey({ queue, prefix });
  const conditions: Condition[] = [
    { key: wishEntry.key, modRevision: wishEntry.modRevision },
    ...overlapping(prefix).map((other) => ({ key: claimKey({ queue, prefix: other }), is: "absent" as const })),
  ];
  let failure: unknown;
  try {
    const { succeeded, revision } = await coordinator.commit(conditions, [{ op: "put", key, value: ownerId, lease }]);
    if (succeeded) return { queue, prefix, createRevision: revision };
  } catch (error) {
    if (isLeaseGone(error)) return undefined;
    if (!isRetryable(error)) throw error;
    failure = error;
  }
  const entry = await coordinator.get(key);
  if (entry?.leaseId === lease.id && entry.value === ownerId) {
    return { queue, prefix, createRevision: entry.createRevision };
  }
  // Nothing is there yet, but the transaction may still be on its way: not an answer.
  if (failure !== undefined && entry === undefined) throw failure;
  return undefined;
}

/** Whether the claim still stands, by a linearizable read. */
export async function stillStands(coordinator: Coordinator, claim: Claim): Promise<boolean> {
  return (await coordinator.get(claimKey(claim)))?.createRevision === claim.createRevision;
}

/** Deletes the claim if it is still this one. */
export async function release(coordinator: Coordinator, claim: Claim): Promise<void> {
  const key = claimKey(claim);
  try {
    await coordinator.commit([{ key, createRevision: claim.createRevision }], [{ op: "delete", key }]);
  } catch (error) {
    if (!isRetryable(error) || (await stillStands(coordinator, claim))) throw error;
  }
}

/** The claims that hang on a lease, among them those whose success was never heard of: they keep everybody else out. */
export async function claimsUnder(coordinator: Coordinator, lease: Lease): Promise<Claim[]> {
  const entries = await coordinator.list(claimsPrefix);
  return entries.filter(({ leaseId }) => leaseId === lease.id).map(parseClaim);
}

/**
 * The epoch of a new owner: `max(revision of the claim, floor + 1)`, so that a wiped or restored etcd locks nobody out.
 */
export function epochOf(claim: Claim, floors: readonly Epoch[]): Epoch {
  return Math.max(claim.createRevision, Math.max(0, ...floors) + 1);
}

function wishes(entry: Entry, { prefix, ownerId }: { readonly prefix: Prefix; readonly ownerId: string }): boolean {
  return parseWish(entry).partitions.some((wished) => wished.prefix === prefix && wished.ownerId === ownerId);
}

/** The prefix itself, its ancestors and its descendants: at most 63. */
function overlapping(prefix: Prefix): Prefix[] {
  const ancestors = Array.from({ length: prefix.length }, (_, length) => prefix.slice(0, length));
  return [...ancestors, ...withDescendants(prefix)];
}

function withDescendants(prefix: Prefix): Prefix[] {
  if (prefix.length === laneBits) return [prefix];
  return [prefix, ...withDescendants(`${prefix}0`), ...withDescendants(`${prefix}1`)];
}

/** `/claims/<queue>/<prefix>`, with `-` for the empty prefix. */
function parseClaim({ key, createRevision }: Entry): Claim {
  const [queue = "", prefix = ""] = key.slice(claimsPrefix.length).split("/");
  return { queue, prefix: prefix === "-" ? "" : prefix, createRevision };
}
