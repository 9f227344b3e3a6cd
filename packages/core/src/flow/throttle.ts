// When submissions to a queue are refused, how many may come, and when the others should come back. What is promised is a
// time in the queue, so the backlog is compared with what is drained in that time.
//
//   open ──backlog over the reference──▶ throttled ──backlog below half of it──▶ open

import type { FunctionName } from "../ids.ts";

/** In reports of what is submitted: all functions of the account that have no line of their own. No function is called so. */
export const otherFunctions = "" as FunctionName;

export interface ThrottleConfig {
  /** The backlog may take so long to drain; default 10 s. */
  readonly drainTargetMs: number;
  /** Fewer waiting tasks never throttle; default 100,000. Keeping work is what a queue is for, and the order is fair. */
  readonly backlogMin: number;
  /** A throttled queue opens below this share of the reference; default 0.5. */
  readonly openRatio: number;
  /** What is too much is worked off in this time; default 10 s. */
  readonly tauMs: number;
  /** At least this share of the drain is admitted; default 0.1. */
  readonly admitRatioMin: number;
  /** Never is a larger share of anybody refused; default 0.98. */
  readonly dropMax: number;
  /** Limits of the delay that is asked for; default 1 s and 60 s. */
  readonly retryMsMin: number;
  readonly retryMsMax: number;
}

export const defaultThrottleConfig: ThrottleConfig = {
  drainTargetMs: 10_000,
  backlogMin: 100_000,
  openRatio: 0.5,
  tauMs: 10_000,
  admitRatioMin: 0.1,
  dropMax: 0.98,
  retryMsMin: 1_000,
  retryMsMax: 60_000,
};

export interface QueuePressure {
  /** Tasks that wait. */
  readonly backlog: number;
  /** Tasks that leave per second, smoothed. */
  readonly drainPerSecond: number;
}

/** The backlog from which a queue is throttled. */
export function backlogReference({ drainPerSecond }: QueuePressure, config: ThrottleConfig): number {
  return Math.max(config.backlogMin, (drainPerSecond * config.drainTargetMs) / 1_000);
}

export function isThrottled(wasThrottled: boolean, pressure: QueuePressure, config: ThrottleConfig): boolean {
  const reference = backlogReference(pressure, config);
  return pressure.backlog > (wasThrottled ? config.openRatio * reference : reference);
}

/** Submissions per second: as many as leave, and what brings the backlog to the reference within `tauMs`. */
export function admissibleRate(pressure: QueuePressure, config: ThrottleConfig): number {
  const { backlog, drainPerSecond } = pressure;
  const correction = (backlogReference(pressure, config) - backlog) / (config.tauMs / 1_000);
  return Math.max(config.admitRatioMin * drainPerSecond, drainPerSecond + correction);
}

/** When whoever is refused should come back: when the queue will have opened, within limits. */
export function retryDelayMs(pressure: QueuePressure, config: ThrottleConfig): number {
  const excess = pressure.backlog - config.openRatio * backlogReference(pressure, config);
  const delayMs = excess <= 0 ? 0 : (1_000 * excess) / Math.max(pressure.drainPerSecond, Number.MIN_VALUE);
  return Math.round(Math.min(config.retryMsMax, Math.max(config.retryMsMin, delayMs)));
}

/** Spreads those who were refused together by a fifth to both sides; `dice` is in [0, 1). */
export function spreadDelayMs(delayMs: number, dice: number): number {
  return Math.round(delayMs * (0.8 + 0.4 * dice));
}

/** What is left of a drop whose document is overdue: whoever decided it is gone, so half of it goes each second. */
export function decayedDrop(probability: number, overdueMs: number): number {
  return overdueMs <= 0 ? probability : probability * 2 ** (-overdueMs / 1_000);
}
