// How a scheduler becomes the owner of a partition: claim, floor, consumers. The attach barrier follows in the partition.
//
//   claim ─▶ read the floor ─▶ check that the claim stands ─▶ raise the floor ─▶ open the consumers ─▶ owned
//      └────────── each step may fail: the claim is released, and the next round tries again ──────────┘
//
// The claim only says who may try. What keeps owners apart is the floor in the store, raised by compare-and-set: between
// two claimants that both believe in their claims, the higher epoch wins and the other one's writes are refused.

import { type Claim, type Coordinator, claim, epochOf, type Lease, release, stillStands } from "@sluice/coordination";
import { lanesOf, type OwnedPartition, type Partition as PartitionName, priorities } from "@sluice/core";
import type { Consumer, TaskQueue } from "@sluice/queue";
import type { Store } from "@sluice/store";

export interface TakeOverDeps {
  readonly coordinator: Coordinator;
  readonly store: Store;
  readonly queue: TaskQueue;
  readonly schedulerId: string;
}

export interface TakenOver {
  readonly claim: Claim;
  readonly owner: OwnedPartition;
  readonly consumers: readonly Consumer[];
}

/** Undefined: not to be had now. Rejects when an outcome is not known; the claim is then found at the next round. */
export async function takeOver(
  deps: TakeOverDeps,
  partition: PartitionName,
  lease: Lease,
): Promise<TakenOver | undefined> {
  const { coordinator, store } = deps;
  const mine = await claim(coordinator, { ...partition, ownerId: deps.schedulerId, lease });
  if (!mine) return undefined;
  let isOwned = false;
  try {
    const { from, until } = lanesOf(partition.prefix);
    const floors = (await store.lanes.floors(partition.queue)).slice(from, until);
    if (!(await stillStands(coordinator, mine))) return undefined;
    const owner: OwnedPartition = { queue: partition.queue, prefix: partition.prefix, epoch: epochOf(mine, floors) };
    if (!(await store.lanes.raiseFloor(owner))) return undefined;
    const consumers = await openConsumers(deps.queue, owner);
    isOwned = true;
    return { claim: mine, owner, consumers };
  } finally {
    if (!isOwned) await release(coordinator, mine);
  }
}

async function openConsumers(queue: TaskQueue, owner: OwnedPartition): Promise<Consumer[]> {
  const opened = await Promise.allSettled(priorities.map((priority) => queue.open({ ...owner, priority })));
  const consumers = opened.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
  const failed = opened.find((result) => result.status === "rejected");
  if (!failed) return consumers;
  await Promise.allSettled(consumers.map((consumer) => consumer[Symbol.asyncDispose]()));
  throw failed.reason;
}
