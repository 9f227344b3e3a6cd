import type { Prefix } from "@sluice/core";
import type { Coordinator } from "./index.ts";

/** What the load-balancer wants of one queue: prefixes that together cover all lanes once, each with its owner. */
export interface Wish {
  readonly queue: string;
  readonly partitions: readonly { readonly prefix: Prefix; readonly ownerId: string }[];
  /** Of the key; 0: not written yet. */
  readonly modRevision: number;
}

export async function readWishes(_coordinator: Coordinator): Promise<Wish[]> {
  throw new Error("to be written");
}

/** Writes a wish if it is still the one that was read. False: somebody else changed it. */
export async function writeWish(_coordinator: Coordinator, _wish: Wish): Promise<boolean> {
  throw new Error("to be written");
}
