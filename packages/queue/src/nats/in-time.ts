import type { Clock } from "@sluice/core";
import { late } from "./failures.ts";

/** Waits for `work`, but no longer than `ms`; it goes on then, and nobody hears of its failure. */
export function inTime<T>(clock: Clock, ms: number, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancelTimer = clock.timer(Math.max(0, ms), () => reject(late(ms)));
    work.then(resolve, reject).finally(cancelTimer);
  });
}
