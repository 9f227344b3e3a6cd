import type { Samples } from "../contract.ts";

/** Undefined: there are none. Percentiles are values that occurred: the smallest that so many are not above. */
export function samplesOf(values: readonly number[]): Samples | undefined {
  const max = values.length > 0 ? Math.max(...values) : undefined;
  if (max === undefined) return undefined;
  return { count: values.length, p50: percentile(values, 50) ?? max, p99: percentile(values, 99) ?? max, max };
}

export function percentile(values: readonly number[], percent: number): number | undefined {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil((sorted.length * percent) / 100) - 1)];
}
