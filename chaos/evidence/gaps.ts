// The longest time in which nothing went forward although there was something to do.

/** Something that became possible at `from` and happened at `at`. */
export interface Step {
  readonly from: number;
  readonly at: number;
}

/**
 * Of all times between two happenings (and before the first), the longest part during which something waited that happened
 * at the end of it or later.
 */
export function longestGap(steps: readonly Step[]): number {
  const sorted = [...steps].sort((a, b) => a.at - b.at);
  let longest = 0;
  let waitingSince = Number.POSITIVE_INFINITY;
  // From the end, so that what happens later is known.
  for (let index = sorted.length - 1; index >= 0; index -= 1) {
    const { from, at } = sorted[index] as Step;
    waitingSince = Math.min(waitingSince, from);
    const before = sorted[index - 1]?.at ?? Number.NEGATIVE_INFINITY;
    longest = Math.max(longest, at - Math.max(before, waitingSince));
  }
  return longest;
}
