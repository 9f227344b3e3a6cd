// Submissions of a million accounts, Zipf distributed, counted by one api-server's Sample-and-Hold: what the table takes, and
// whether it finds those who send most.
import { createSampleAndHold, defaultSampleAndHoldConfig, type SampleAndHoldConfig } from "@sluice/core";
import { seededRandom } from "@sluice/core/testing";

export interface SamplingOptions {
  readonly accounts: number;
  readonly submissionsPerInterval: number;
  readonly intervals: number;
  /** 0: all send alike; 1: the second sends half of what the first does. */
  readonly skew: number;
  readonly seed: number;
  readonly config?: Partial<SampleAndHoldConfig>;
}

/** One interval. */
export interface SamplingSample {
  readonly interval: number;
  /** The most entries at any moment. */
  readonly entries: number;
  readonly threshold: number;
  /** Accounts that really sent as much as the threshold; of these, how many are not held. */
  readonly large: number;
  readonly missed: number;
  /** Mean of |estimate - truth| / truth of the large ones that are held. */
  readonly error: number;
}

export function sampleZipf(options: SamplingOptions): SamplingSample[] {
  const { accounts, submissionsPerInterval, intervals, skew, seed } = options;
  const random = seededRandom(seed);
  const table = createSampleAndHold(random.fork("table"), { ...defaultSampleAndHoldConfig, ...options.config });
  const draw = zipf(accounts, skew);
  const samples: SamplingSample[] = [];
  for (let interval = 0; interval < intervals; interval++) {
    const truth = new Map<number, number>();
    let entries = 0;
    for (let count = 0; count < submissionsPerInterval; count++) {
      const account = draw(random.next());
      truth.set(account, (truth.get(account) ?? 0) + 1);
      table.count(`a${account}`);
      entries = Math.max(entries, table.size);
    }
    const { held, threshold } = table.endInterval();
    const estimates = new Map(held.map(({ key, estimate }) => [key, estimate]));
    const large = [...truth].filter(([, count]) => count >= threshold);
    const found = large.filter(([account]) => estimates.has(`a${account}`));
    const errors = found.map(([account, count]) => Math.abs((estimates.get(`a${account}`) ?? 0) - count) / count);
    samples.push({
      interval,
      entries,
      threshold,
      large: large.length,
      missed: large.length - found.length,
      error: errors.reduce((sum, error) => sum + error, 0) / Math.max(1, errors.length),
    });
  }
  return samples;
}

/** Inverse of the distribution, by a table of its sums. */
function zipf(count: number, skew: number): (uniform: number) => number {
  const sums = new Float64Array(count);
  let sum = 0;
  for (let rank = 0; rank < count; rank++) {
    sum += 1 / (rank + 1) ** skew;
    sums[rank] = sum;
  }
  return (uniform) => {
    const wanted = uniform * sum;
    let [low, high] = [0, count - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((sums[middle] ?? 0) < wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}
