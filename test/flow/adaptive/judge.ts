// What became of a run.
import type { Sample } from "./drive.ts";

export interface Verdict {
  /** Share of the capacity that was used, and share of the calls that were refused. */
  readonly goodput: number;
  readonly errors: number;
  /** Calls that were refused, per second. */
  readonly refusedPerSecond: number;
}

/** Of the seconds after `from`, until `until`. */
export function judge(samples: readonly Sample[], from: number, until = samples.length): Verdict {
  const judged = samples.filter(({ second }) => second > from && second <= until);
  const sum = (pick: (sample: Sample) => number) => judged.reduce((total, sample) => total + pick(sample), 0);
  const taken = sum((sample) => sample.taken);
  const refused = sum((sample) => sample.refused);
  return {
    goodput:
      taken /
      Math.max(
        1,
        sum((sample) => sample.capacity),
      ),
    errors: refused / Math.max(1, taken + refused),
    refusedPerSecond: refused / judged.length,
  };
}

/** Seconds after `from` until it takes 90 % of the capacity for five seconds; undefined: never. */
export function recoverySeconds(samples: readonly Sample[], from: number): number | undefined {
  for (let start = from; start + 5 <= samples.length; start++) {
    if (judge(samples, start, start + 5).goodput >= 0.9) return start - from;
  }
  return undefined;
}
