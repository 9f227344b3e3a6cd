// How busy the thread of a scheduler is: the share of the time in which its event loop was at work, smoothed over the last seconds.
import type { Clock } from "@sluice/core";

/** Of the newest measurement: at one every two seconds, half of what changed shows after four. */
const newShare = 0.3;

export interface BusyMeter {
  /** The share, 0 to 1, from one call to the next; undefined: it is not known yet. */
  measure(): number | undefined;
}

/** `workedMs` only grows. */
export function createBusyMeter(clock: Clock, workedMs: () => number): BusyMeter {
  let before = { at: clock.monotonic(), worked: workedMs() };
  let share: number | undefined;
  return {
    measure() {
      const now = { at: clock.monotonic(), worked: workedMs() };
      const ms = now.at - before.at;
      if (ms <= 0) return share;
      const newest = Math.min(1, Math.max(0, (now.worked - before.worked) / ms));
      before = now;
      share = share === undefined ? newest : share + newShare * (newest - share);
      return share;
    },
  };
}
