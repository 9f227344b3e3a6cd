import type { Epoch, Partition } from "@sluice/core";
import type { Coordinator, Lease } from "./index.ts";

/** The key that makes its holder the owner of a partition. */
export interface Claim extends Partition {
  readonly createRevision: number;
}

/**
 * Claims a partition for `ownerId` under `lease`, in one transaction that requires that the wish names this owner and that
 * no claim exists on this prefix, an ancestor or a descendant. Recognises its own earlier success. Undefined: not to be had.
 */
export async function claim(
  _coordinator: Coordinator,
  _options: Partition & { readonly ownerId: string; readonly lease: Lease },
): Promise<Claim | undefined> {
  throw new Error("to be written");
}

/** Whether the claim still stands, by a linearizable read. */
export async function stillStands(_coordinator: Coordinator, _claim: Claim): Promise<boolean> {
  throw new Error("to be written");
}

/** Deletes the claim if it is still this one. */
export async function release(_coordinator: Coordinator, _claim: Claim): Promise<void> {
  throw new Error("to be written");
}

/**
 * The epoch of a new owner: `max(revision of the claim, floor + 1)`, so that a wiped or restored etcd locks nobody out.
 */
export function epochOf(claim: Claim, floors: readonly Epoch[]): Epoch {
  return Math.max(claim.createRevision, Math.max(0, ...floors) + 1);
}
