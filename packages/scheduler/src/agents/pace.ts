// How long attempts of a function run, as far as this scheduler has seen: what an agent is sent ahead depends on it.

export interface Pace {
  /** An attempt of the revision ran for so long. */
  ran(revision: number, ms: number): void;
  /** An agent is sent so many times what its instances can run of the revision at a time. */
  aheadFactor(revision: number): number;
}

/**
 * So much work, in ms, waits at an agent: several round trips through a scheduler and its store, so that instances of short
 * attempts never wait for the next one. A long attempt must not wait behind another while an agent has nothing to do.
 */
const aheadMs = 50;
/** Attempts that wait at an agent are in the way of others, and run old code after an update: at most 1 + so many times. */
const aheadMax = 7;
/** Of a revision that has not run yet. */
const unknownFactor = 2;
/** The newest attempts count so much. */
const newestShare = 0.1;
const revisionsMax = 10_000;

export function createPace(): Pace {
  const means = new Map<number, number>();
  return {
    ran(revision, ms) {
      const mean = means.get(revision);
      if (mean === undefined && means.size >= revisionsMax) means.delete(means.keys().next().value as number);
      means.set(revision, mean === undefined ? ms : mean + newestShare * (ms - mean));
    },
    aheadFactor(revision) {
      const mean = means.get(revision);
      return mean === undefined ? unknownFactor : 1 + Math.min(aheadMax, aheadMs / Math.max(1, mean));
    },
  };
}
