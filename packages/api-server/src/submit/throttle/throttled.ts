import type { QueueLoad } from "@sluice/coordination";
import { AppError } from "@sluice/core";
import type { Chance } from "./drop-table.ts";

/** What a caller is told that is refused a share of what it submits. */
export function throttled({ scope, drop }: Chance, load: QueueLoad | undefined, retryAfterMs: number): AppError {
  const backlog = `${load?.waiting ?? 0} tasks wait in its queue, of which ${rateOf(load?.drainPerSecond ?? 0)} start`;
  const share =
    drop === undefined
      ? "all accounts that submit little are refused a share"
      : `the ${scope} submits ${rateOf(drop.rate)}, its fair share now is ${rateOf(drop.share)}`;
  return refusal(`${share}; ${backlog}`, retryAfterMs);
}

/** The queue takes nothing at all. */
export function queueFull(load: QueueLoad, tasksMax: number, retryAfterMs: number): AppError {
  return refusal(`its queue is full: ${load.waiting} tasks wait there, at most ${tasksMax} may`, retryAfterMs);
}

function refusal(why: string, retryAfterMs: number): AppError {
  const seconds = Math.ceil(retryAfterMs / 1_000);
  return new AppError("exhausted", "THROTTLED", `${why}; submit it again in ${seconds} s`, { retryAfterMs });
}

function rateOf(perSecond: number): string {
  return `${perSecond < 10 ? Math.round(perSecond * 10) / 10 : Math.round(perSecond)}/s`;
}
