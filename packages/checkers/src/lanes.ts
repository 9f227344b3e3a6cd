// The lanes of a partition, stated here a second time: what schedulers take for theirs must not excuse them.
import type { Lane, Prefix } from "@sluice/core";

/** Of a queue, numbered by five bits. */
const bits = 5;
export const laneCount = 2 ** bits;

/** Those whose first bits are the prefix: `from` inclusive, `until` exclusive. */
export function lanesOf(prefix: Prefix): { readonly from: Lane; readonly until: Lane } {
  const from = Number.parseInt(prefix.padEnd(bits, "0"), 2);
  return { from, until: from + 2 ** (bits - prefix.length) };
}

export function covers(prefix: Prefix, lane: Lane): boolean {
  return lane.toString(2).padStart(bits, "0").startsWith(prefix);
}
