// How fast and how many at once: what a flow is given, by what its downstream refuses.
//
//   free ──errors past both thresholds──▶ paced ──not the bound for `quietMs`──▶ free
//                                          │ ▲
//                                          └─┘ past both thresholds again
//
// A window of concurrency alone cannot hold a downstream that takes 50/s with tasks of 10 ms: a window of 1 is 100/s. So
// there are two, and each does what it can: the window of **concurrency** is always there and bounds how fast a surge
// grows (slow start); the window of **rate** exists only once errors were seen, and is what finds the limit.
//
// Rate. A shrink aims at what was accepted, not at a share of what was tried:
//
//   limit ← (started - refused) / duration of the window;   rate(t) = limit · (1 + dip · ((t - plateau) / plateau)³)
//
// the curve of CUBIC (Ha, Rhee, Xu 2008; RFC 9438) without its constant in packets: it starts at (1 - dip) · limit, is flat
// around the limit, and accelerates beyond it; what is 15 % above it has left it behind and grows by `growRatioMax` per
// window. It grows on through windows with few errors, so it cannot come to rest at a share that is below the threshold, and
// as `plateau` covers `plateauStarts` attempts, a cycle has few errors: 1 % at 50/s. The threshold is 5 % because owners that
// drive the same downstream without talking rest a little below it: with 10 %, four of them had 6 % errors.
// Where hardly anything was accepted (an outage) there is no limit to aim at: the rate falls to about one per window and
// doubles every four, so that a recovery costs seconds, not the plateau of a rate of nearly 0.
// Some downstreams take less when they are asked for more: a bucket that saves nothing up takes r / ⌈r / limit⌉ of calls
// that come evenly at r, which is half as soon as r passes the limit. So a slump right after windows without errors falls
// back to their rate first, and only a second one to what was accepted; and a limit that is expensive to pass is tried less
// often.
//
// Errors lag, so windows are made of the attempts that *started* in them: `adaptive-windows.ts`.
//
// Not on latency (Vegas, Gradient2): the durations of tasks differ by five orders of magnitude, so a slow one says nothing.
// Both thresholds: the share alone flaps when little happens (1 of 2), the number alone when much does (5 of 50,000).

import { assert } from "../assert.ts";
import { type AdaptiveConfig, defaultAdaptiveConfig } from "./adaptive-config.ts";
import { type AdaptiveStart, type Window, Windows } from "./adaptive-windows.ts";

export type { AdaptiveStart } from "./adaptive-windows.ts";

/** Tokens of so many ms may be saved up, so that a late timer does not cost rate. */
const slackMs = 20;
/** Tokens are sums of fractions. */
const tokenSlip = 1e-6;
/** The window of concurrency leaves so much room above what was accepted: the rate is what holds the limit. */
const concurrencyMargin = 1.5;
/** A window of concurrency that agents refuse shrinks to this share. */
const busyRatio = 0.7;
/** A rate so far above the limit has left it behind, and grows as fast as it may. */
const beyondRatio = 1.15;
/** A rate that met retry-afters falls by no more: while it is held, what was accepted says nothing. */
const shrinkRatio = 0.7;
const heldRatio = 0.95;
/** Up to half is refused by one that saves nothing up and is asked for a little more; more shows that its limit has fallen. */
const cleanRatioMax = 0.6;
/** Less than this share of what went well just before is more than the growth since explains. */
const slumpRatio = 0.93;
/** Passing a limit that refuses such a share is expensive: tried each `plateauStarts`, one of 5/s has 9 % errors, so 4 %. */
const costlyRatioMin = 0.3;
const plateauPerCostlySlump = 3;
/** So many times the pause that a retry-after asks for must pass before the limit is tried again: pauses cost about 6 %. */
const plateauPerHold = 20;
const plateauPerLag = 4;

/** One flow. All times are monotonic and in ms; no call goes back in time. */
export interface AdaptiveFlow {
  /** Starts per second; undefined: free. */
  readonly rate: number | undefined;
  /** Attempts at once. */
  readonly concurrency: number;
  readonly inflight: number;
  /** Times that the rate was shrunk. */
  readonly shrinks: number;
  /** Not before then, as a retry-after asked for. */
  readonly heldUntil: number;
  /** How many may start now. */
  room(now: number): number;
  /** When there is room again although nothing ends; undefined: there is now, or only when something ends. */
  roomAt(now: number): number | undefined;
  /** It takes its slot and its token from now on, however long it takes to be sent. */
  started(now: number): AdaptiveStart;
  /** It did not run after all; `isBusy`: because an agent refused it. Of each start either this is told or its end, once. */
  released(now: number, start: AdaptiveStart, options?: { readonly isBusy: boolean }): void;
  ended(now: number, start: AdaptiveStart, throttled?: { readonly retryAfterMs: number }): void;
  /** An attempt of which nobody knows when it started was refused; it counts as neither started nor ended. */
  hold(now: number, retryAfterMs: number): void;
  /** No more than so many can be running: some left without a word. */
  atMost(inflight: number): void;
  /** Whether nothing of it runs, and nothing holds it back. */
  isFree(now: number): boolean;
  /** Whether a new one would do as well: it has been free for `quietMs`. */
  isIdle(now: number): boolean;
}

interface Pace {
  rate: number;
  limit: number;
  /** False: hardly anything was accepted. */
  isKnown: boolean;
  /** Time for which it was the bound since the limit was set: where on the curve it is. */
  ageMs: number;
  plateauMs: number;
  tokens: number;
  /** It is the bound until then, as far as is known. */
  boundUntil: number;
}

export function createAdaptiveFlow(now: number, options: Partial<AdaptiveConfig> = {}): AdaptiveFlow {
  return new Adaptive(now, { ...defaultAdaptiveConfig, ...options });
}

class Adaptive implements AdaptiveFlow {
  readonly #config: AdaptiveConfig;
  readonly #windows: Windows;
  #pace: Pace | undefined;
  #advancedAt: number;
  /** From a start to its refusal: the longest of late. */
  #lagMs = 0;
  /** Mean time of what was accepted; 0: nothing has ended. */
  #runMs = 0;
  #heldMs = 0;
  #touchedAt = Number.NEGATIVE_INFINITY;
  /** Of the tick, which decides about concurrency. */
  #tick: { from: number; starts: number; errors: number; busy: number; peak: number; isBound: boolean };
  #boundAt: number;
  #startedAt: number;
  /** Of the last window without errors, if there was one since the last shrink; 0: none. */
  #cleanRate = 0;
  #cleanStarts = 0;
  concurrency: number;
  inflight = 0;
  shrinks = 0;
  heldUntil = Number.NEGATIVE_INFINITY;

  constructor(now: number, config: AdaptiveConfig) {
    this.#config = config;
    this.concurrency = config.concurrencyStart;
    this.#windows = new Windows(now);
    this.#tick = openTick(now, 0);
    this.#advancedAt = now;
    this.#boundAt = now;
    this.#startedAt = now;
  }

  get rate(): number | undefined {
    return this.#pace?.rate;
  }

  room(now: number): number {
    this.#advance(now);
    if (now < this.heldUntil) return 0;
    const slots = Math.max(0, Math.floor(this.concurrency) - this.inflight);
    return this.#pace === undefined ? slots : Math.min(slots, Math.floor(this.#pace.tokens + tokenSlip));
  }

  roomAt(now: number): number | undefined {
    this.#advance(now);
    const { tokens = 1, rate = 1 } = this.#pace ?? {};
    const paidAt = tokens + tokenSlip >= 1 ? now : now + ((1 - tokens) * 1_000) / rate;
    const at = Math.max(paidAt, this.heldUntil);
    return at > now ? at : undefined;
  }

  started(now: number): AdaptiveStart {
    this.#advance(now);
    this.#startedAt = now;
    this.inflight++;
    this.#tick.starts++;
    this.#tick.peak = Math.max(this.#tick.peak, this.inflight);
    if (this.inflight >= Math.floor(this.concurrency)) this.#tick.isBound = true;
    if (this.#pace) this.#pay(this.#pace, now);
    return this.#windows.started(now);
  }

  released(now: number, start: AdaptiveStart, { isBusy } = { isBusy: false }): void {
    this.inflight = Math.max(0, this.inflight - 1);
    this.#windows.released(start);
    if (this.#pace) this.#pace.tokens = Math.min(capOf(this.#pace), this.#pace.tokens + 1);
    if (isBusy) this.#tick.busy++;
    else if (this.#tick.from <= start.at) this.#tick.starts = Math.max(0, this.#tick.starts - 1);
    this.#advance(now);
  }

  ended(now: number, start: AdaptiveStart, throttled?: { readonly retryAfterMs: number }): void {
    this.inflight = Math.max(0, this.inflight - 1);
    if (throttled) this.#refused(now, start, throttled.retryAfterMs);
    else this.#runMs = this.#runMs === 0 ? now - start.at : 0.9 * this.#runMs + 0.1 * (now - start.at);
    this.#advance(now);
  }

  hold(now: number, retryAfterMs: number): void {
    this.#heldMs = Math.min(retryAfterMs, this.#config.holdMaxMs);
    this.heldUntil = Math.max(this.heldUntil, now + this.#heldMs);
  }

  atMost(inflight: number): void {
    this.inflight = Math.min(this.inflight, inflight);
  }

  isFree(now: number): boolean {
    this.#advance(now);
    return this.inflight === 0 && !this.#pace && now >= this.heldUntil;
  }

  isIdle(now: number): boolean {
    return now - this.#startedAt >= this.#config.quietMs && this.isFree(now);
  }

  #refused(now: number, start: AdaptiveStart, retryAfterMs: number): void {
    const { holdMaxMs } = this.#config;
    this.#tick.errors++;
    this.#lagMs = Math.max(this.#lagMs, Math.min(now - start.at, holdMaxMs));
    const isCounted = this.#windows.refused(start);
    if (retryAfterMs <= 0) return;
    this.hold(now, retryAfterMs);
    if (isCounted && start.at >= this.#touchedAt) this.#touch(now);
  }

  /**
   * A pause is expensive, so its rate is not tried again soon. It says where the limit is, unless nearly all is refused; past both
   * thresholds a shrink says more. Its own window alone would not tell: one that is paused after every 20 starts closes its
   * windows just before its refusals, so that each came in a new one, and it would be driven at twice its limit for minutes.
   */
  #touch(now: number): void {
    const pace = this.#pace;
    if (!pace) return;
    const { errorsMin, errorRatioMin } = this.#config;
    const { starts, errors } = this.#windows.ofLate;
    if (starts - errors < errorsMin || (errors >= errorsMin && errors >= errorRatioMin * starts)) return;
    this.#touchedAt = now;
    const limit = heldRatio * pace.rate;
    const plateauMs = this.#plateauOf(limit);
    Object.assign(pace, { limit, rate: limit, isKnown: true, plateauMs, ageMs: plateauMs });
  }

  #pay(pace: Pace, now: number): void {
    pace.tokens -= 1;
    if (pace.tokens >= 1) return;
    pace.boundUntil = now + Math.max(this.#config.windowMs, 2_000 / pace.rate);
  }

  /** Lets time pass: tokens, growth, windows. */
  #advance(now: number): void {
    if (now > this.#advancedAt) {
      if (this.#pace) this.#advancePace(this.#pace, now);
      this.#advancedAt = now;
    }
    this.#endTick(now);
    this.#closeWindow(now);
    for (;;) {
      const window = this.#windows.takeClosedBy(now - this.#lagMs);
      if (!window) return;
      this.#judge(window, now);
    }
  }

  #advancePace(pace: Pace, now: number): void {
    const { windowMs, startsMin, growRatioMax, dip, quietMs } = this.#config;
    const boundMs = Math.max(0, Math.min(now, pace.boundUntil) - this.#advancedAt);
    if (boundMs > 0) {
      pace.ageMs += boundMs;
      const slowMs = pace.isKnown ? Math.max(windowMs, (startsMin * 1_000) / pace.rate) : windowMs;
      const fastest = pace.rate * (1 + growRatioMax) ** (boundMs / slowMs);
      const onCurve = pace.limit * (1 + dip * ((pace.ageMs - pace.plateauMs) / pace.plateauMs) ** 3);
      const isBeyond = !pace.isKnown || pace.rate >= beyondRatio * pace.limit;
      pace.rate = isBeyond ? fastest : Math.max(pace.rate, Math.min(fastest, onCurve));
    }
    // Nothing is saved up while it is held: what asked for a pause does not want a surge after it.
    const freeMs = Math.max(0, now - Math.max(this.#advancedAt, this.heldUntil));
    pace.tokens = Math.min(capOf(pace), pace.tokens + (pace.rate * freeMs) / 1_000);
    if (now - Math.max(pace.boundUntil, this.heldUntil) >= quietMs) this.#pace = undefined;
  }

  #closeWindow(now: number): void {
    const { windowMs, windowMaxMs, startsMin } = this.#config;
    const { open } = this.#windows;
    if (now - open.from < windowMs) return;
    if (open.starts === 0) open.from = now;
    else if (open.starts >= startsMin || now - open.from >= windowMaxMs) {
      this.#windows.close(now, this.#pace?.rate ?? 0);
    }
  }

  #judge(window: Window, now: number): void {
    const { errorsMin, errorRatioMin, windowMaxMs } = this.#config;
    const { from, until = now, starts, errors } = window;
    // Nobody asked for long: it says nothing about now.
    if (now - until >= this.#lagMs + this.#config.quietMs) return;
    this.#lagMs *= 0.98;
    this.#windows.keep(window);
    this.#cleanStarts = errors === 0 ? this.#cleanStarts + starts : 0;
    if (this.#cleanStarts >= this.#config.plateauStarts) this.#cleanRate = window.rate;
    if (errors === 0 || errors < errorRatioMin * starts) return;
    if (errors >= errorsMin) {
      this.#shrink(now, window);
      return;
    }
    // Too few to tell: the next window goes on with them.
    if (until - from < windowMaxMs) this.#windows.goOnWith(window);
  }

  #shrink(now: number, { from, until = now, starts, errors }: Window): void {
    const { dip, errorsMin } = this.#config;
    this.shrinks++;
    const accepted = starts - errors;
    // While it was held nothing was tried, so the window says little about the limit.
    const isHeld = this.heldUntil >= from;
    // Of next to nothing it is not known whether it was one more.
    const goodput = ((accepted >= errorsMin ? accepted : accepted + 1) * 1_000) / (until - from);
    // Some downstreams take less when they are asked for more; then what went well just before says more.
    const isSlump = errors < cleanRatioMax * starts && goodput < slumpRatio * this.#cleanRate;
    const isCostly = isSlump && errors >= costlyRatioMin * starts;
    const aim = isSlump ? this.#cleanRate : goodput;
    const rate = this.#pace?.rate;
    const isKnown = isHeld ? this.#pace?.isKnown === true : accepted >= errorsMin;
    const limit = Math.min(
      rate ?? Number.POSITIVE_INFINITY,
      isHeld && rate !== undefined ? Math.max(aim, shrinkRatio * rate) : aim,
    );
    // With 0 it would stand still for ever, and with less it would be free after a while.
    assert(limit > 0, `what was accepted is a rate above 0: ${limit}`);
    this.#cleanRate = 0;
    this.#pace = {
      limit,
      rate: isKnown ? (1 - dip) * limit : limit,
      isKnown,
      ageMs: 0,
      plateauMs: this.#plateauOf(limit, isCostly ? plateauPerCostlySlump : 1),
      tokens: 0,
      boundUntil: now + Math.max(this.#config.windowMs, 2_000 / limit),
    };
    this.#windows.startAnew(now, this.#pace.rate);
    if (this.#runMs === 0) return;
    // Refusals take slots as well: with room for what is accepted alone, two that take a second stop everything for it.
    const slotMs = Math.max(this.#runMs, this.#lagMs);
    const used = Math.ceil((concurrencyMargin * limit * slotMs) / 1_000);
    this.concurrency = Math.max(1, Math.min(this.concurrency, used));
  }

  #plateauOf(limit: number, cost = 1): number {
    const { plateauMs, plateauStarts, plateauMaxMs } = this.#config;
    const slow = Math.min(plateauMaxMs, (cost * plateauStarts * 1_000) / limit);
    return Math.max(plateauMs, slow, plateauPerLag * this.#lagMs, plateauPerHold * this.#heldMs);
  }

  /** Concurrency is not looked at by windows: what takes long would make it grow slowly. */
  #endTick(now: number): void {
    const { windowMs, errorsMin, errorRatioMin, quietMs } = this.#config;
    const { from, starts, errors, busy, peak, isBound } = this.#tick;
    if (now - from < windowMs) return;
    this.#tick = openTick(now, this.inflight);
    if (isBound || busy > 0) this.#boundAt = now;
    if (busy >= errorsMin && busy >= errorRatioMin * starts) {
      this.concurrency = Math.max(1, Math.floor(busyRatio * Math.min(this.concurrency, peak)));
    } else if (isBound && errors + busy <= errorRatioMin * starts) {
      this.concurrency = this.#grown();
    } else if (now - this.#boundAt >= quietMs) {
      this.concurrency = Math.max(this.#config.concurrencyStart, Math.min(this.concurrency, 2 * peak));
      this.#boundAt = now;
    }
  }

  #grown(): number {
    const { concurrencyStart, growRatioMax } = this.#config;
    return this.concurrency < concurrencyStart
      ? Math.min(concurrencyStart, 2 * this.concurrency)
      : Math.floor(this.concurrency * (1 + growRatioMax));
  }
}

function openTick(from: number, peak: number) {
  return { from, starts: 0, errors: 0, busy: 0, peak, isBound: false };
}

function capOf({ rate }: Pace): number {
  return 1 + (rate * slackMs) / 1_000;
}
