// Reserved concurrency: what of an account's concurrency is kept free for a function, also while it is idle. Pure.
//
// Each function takes up the larger of what it has running and what is kept for it, and together they never take more than the
// account may. So as long as settings stay, whoever has less running than is kept for it may start at once: nobody else was
// given its place.

/** Slots that are kept for each function of an account, by the key of its flow; in the order of names. */
export type Reserved = ReadonlyMap<string, number>;

/**
 * Slots that a flow must leave to the others of its account. Where more is kept than the account may run, because its limit was
 * lowered in the moment of a reservation, the first in the order of names have theirs.
 */
export function keptForOthers(
  flowKey: string,
  { reserved, concurrencyMax }: { readonly reserved: Reserved; readonly concurrencyMax: number },
  activeOf: (flowKey: string) => number,
): number {
  let left = concurrencyMax;
  let kept = 0;
  for (const [key, slots] of reserved) {
    const own = Math.min(slots, left);
    left -= own;
    if (key !== flowKey) kept += Math.max(0, own - activeOf(key));
  }
  return kept;
}
