// Finds those who send most, in bounded memory, however many send: Sample-and-Hold (Estan and Varghese, "New directions in
// traffic measurement and accounting", SIGCOMM 2002).
//
//   not held ──each unit with probability p = O/T──▶ held: counted exactly from then on
//      ▲                                              │ end of the interval
//      └── below T, and not new or below 0.15 T ──────┘── else kept: starts the next interval at 0, exactly counted
//
// T is the threshold: who sends so much in an interval is missed with probability (1-p)^T, about e^-O. What is missed of those
// that are held is geometric with the mean (1-p)/p, so a count is never too high. Plain sampling errs by 1/sqrt(memory), this
// by 1/memory. While little arrives, p is 1, and all counts are exact.
import type { Random } from "../random.ts";

export interface SampleAndHoldConfig {
  /** Entries of the table at most; default 4,096. */
  readonly entriesMax: number;
  /** When the table is full, whoever sent less than this share of what came so far is not large; default 0.01. */
  readonly largeShare: number;
  /** O: by how much more than once somebody at the threshold is sampled on average; default 20. */
  readonly oversampling: number;
  /** Entries of this interval below this share of the threshold are not kept; default 0.15. */
  readonly earlyRemoval: number;
  /** The lowest threshold; default O, at which everybody is held. */
  readonly thresholdMin: number;
}

export const defaultSampleAndHoldConfig: SampleAndHoldConfig = {
  entriesMax: 4_096,
  largeShare: 0.01,
  oversampling: 20,
  earlyRemoval: 0.15,
  thresholdMin: 20,
};

export interface SampleAndHold {
  /** Counts `units` of `key`: a whole number, at least 1. Whether it is held. */
  count(key: string, units?: number): boolean;
  /** What the interval saw; begins the next one. */
  endInterval(): CountedInterval;
  /** Entries now. */
  readonly size: number;
  /** Units of the running interval from which somebody counts as large. */
  readonly threshold: number;
}

export interface CountedInterval {
  /** All units, held or not. */
  readonly total: number;
  /** T as it was at the end. */
  readonly threshold: number;
  /** The largest first; those of the same count in the order in which they came. */
  readonly held: readonly Held[];
}

export interface Held {
  readonly key: string;
  /** At most what it really was. */
  readonly count: number;
  /** With the mean of what was missed before it was held. */
  readonly estimate: number;
}

interface Entry {
  count: number;
  /** Mean of what was missed: 0 for one that was kept from the interval before. */
  readonly missed: number;
  readonly isNew: boolean;
}

/** The authors' rule: the threshold follows the use of the table, up fast and down slowly. */
const usageWanted = 0.9;
const [adjustUp, adjustDown] = [3, 1];
const quietIntervals = 3;

export function createSampleAndHold(
  random: Random,
  config: SampleAndHoldConfig = defaultSampleAndHoldConfig,
): SampleAndHold {
  const { entriesMax, largeShare, oversampling, earlyRemoval, thresholdMin } = config;
  let threshold = thresholdMin;
  let table = new Map<string, Entry>();
  let total = 0;
  let intervalsBelow = 0;

  function hold(key: string, units: number): boolean {
    const chance = Math.min(1, oversampling / threshold);
    if (chance < 1 && random.next() >= 1 - (1 - chance) ** units) return false;
    if (table.size >= entriesMax) makeRoom();
    if (table.size >= entriesMax) return false;
    table.set(key, { count: units, missed: (1 - chance) / chance, isNew: true });
    return true;
  }

  /** Many came at once that were not expected: whoever is small goes, and fewer are sampled from here on. */
  function makeRoom(): void {
    threshold = Math.max(2 * threshold, largeShare * total);
    for (const [key, entry] of table) {
      if (entry.isNew && entry.count < earlyRemoval * threshold) table.delete(key);
    }
  }

  /** For the next interval, from the use of the table in this one. */
  function adapted(): number {
    const usage = table.size / entriesMax;
    intervalsBelow = usage > usageWanted ? 0 : intervalsBelow + 1;
    if (usage > usageWanted) return threshold * (usage / usageWanted) ** adjustUp;
    if (intervalsBelow <= quietIntervals) return threshold;
    return Math.max(thresholdMin, threshold * (usage / usageWanted) ** adjustDown);
  }

  return {
    count(key, units = 1) {
      total += units;
      const entry = table.get(key);
      if (entry === undefined) return hold(key, units);
      entry.count += units;
      return true;
    },
    endInterval() {
      const held = [...table]
        .filter(([, { count }]) => count > 0)
        .map(([key, { count, missed }]): Held => ({ key, count, estimate: count + missed }))
        .sort((a, b) => b.count - a.count);
      const seen: CountedInterval = { total, threshold, held };
      const kept = new Map<string, Entry>();
      for (const [key, { count, isNew }] of table) {
        if (count >= threshold || (isNew && count >= earlyRemoval * threshold)) {
          kept.set(key, { count: 0, missed: 0, isNew: false });
        }
      }
      threshold = adapted();
      table = kept;
      total = 0;
      return seen;
    },
    get size() {
      return table.size;
    },
    get threshold() {
      return threshold;
    },
  };
}
