import type { Flow } from "@sluice/core";

/** A flow whose excess is parked, as far as this owner knows. Written by `overflow`, but for `picks` and `passedSince`. */
export interface Overflown {
  readonly flow: Flow;
  /** No parked row is more urgent; undefined: an earlier owner has parked them, and none of them was read yet. */
  urgency: number | undefined;
  /** It gets some back when fewer wait in memory that are as urgent, so that it seldom waits for that. */
  low: number;
  /** About so many: counted at times, and kept up in between. */
  parked: number;
  /** Its attempts since then. Written by `pick`. */
  picks: number;
  /** When they began to be counted, monotonic. */
  readonly since: number;
  /** Since when it is passed over because parked rows go before what it has in memory, monotonic. Written by `pick`. */
  passedSince: number | undefined;
  /** Not asked for before, monotonic: the last time failed. */
  retryAt: number;
}

/** The order is not worth more: if what goes before it does not come back for so long, it goes all the same. */
const passedMaxMs = 5_000;

/** @param urgency of what the flow has in memory. @param now monotonic. */
export function goesBehindParked(each: Overflown, urgency: number, now: number): boolean {
  if (each.urgency === undefined || urgency <= each.urgency) return false;
  return each.passedSince === undefined || now - each.passedSince < passedMaxMs;
}

/** Something of it is picked. */
export function pickedOf(each: Overflown, urgency: number): void {
  each.picks++;
  if (each.urgency !== undefined && urgency <= each.urgency) each.passedSince = undefined;
}

export function newOverflown(flow: Flow, since: number): Overflown {
  return {
    ...{ flow, since, urgency: Number.POSITIVE_INFINITY, low: enough, parked: 0, picks: 0 },
    ...{ passedSince: undefined, retryAt: Number.NEGATIVE_INFINITY },
  };
}

/** A flow that has so many numbers in memory needs no more for now: two seconds of a busy one. */
export const enough = 20_000;

/** What a flow keeps in memory of a priority, however little room there is: half of what flows have on average, within these bounds. */
export const keep = { min: 4, max: 256 };
