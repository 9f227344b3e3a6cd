// Refuses submissions here that the server would refuse anyway, so that refusing costs it nothing (adaptive throttling of
// "Site Reliability Engineering", chapter "Handling Overload"):
//
//   p = max(0, (requests - K·accepts) / (requests + 1))   over the last two minutes, for each function
//
// Requests are those that were answered, and those that were refused here. What has no answer yet is not counted, unlike
// in the book: submissions are pipelined, and thousands of them may be on their way before the first one is answered.
import { LocallyThrottled, Rejected, type SluiceError } from "./errors.ts";
import type { System } from "./system.ts";

export interface AdaptiveThrottleOptions {
  /** K: as many are sent per accepted one; infinite: it refuses nothing. */
  readonly sentPerAccepted: number;
}

interface Bucket {
  readonly startedAt: number;
  requests: number;
  accepts: number;
}
interface Window {
  buckets: Bucket[];
  /** As the server asked for last. */
  retryAfterMs: number;
}

const windowMs = 120_000;
const bucketMs = 10_000;
/** Functions that are remembered; the one that was refused first is forgotten first. */
const functionsMax = 256;
/** A few refusals say little. */
const refusalsMin = 10;

export class AdaptiveThrottle {
  readonly #system: System;
  readonly #sentPerAccepted: number;
  readonly #windows = new Map<string, Window>();

  constructor(system: System, { sentPerAccepted }: AdaptiveThrottleOptions) {
    this.#system = system;
    this.#sentPerAccepted = sentPerAccepted;
  }

  /** Why a submission is not even sent; undefined: it is. */
  refusal(functionName: string): LocallyThrottled | undefined {
    const window = this.#windows.get(functionName);
    if (window === undefined || this.#sentPerAccepted === Number.POSITIVE_INFINITY) return undefined;
    this.#forgetOld(window);
    const { requests, accepts } = sumOf(window);
    if (requests - accepts < refusalsMin) return undefined;
    const chance = (requests - this.#sentPerAccepted * accepts) / (requests + 1);
    if (this.#system.random() >= chance) return undefined;
    this.#bucketOf(window).requests += 1;
    return new LocallyThrottled(functionName, { requests, accepts, retryAfterMs: window.retryAfterMs });
  }

  /** The server answered; `error`: what it refused the submission with. */
  answered(functionName: string, error: SluiceError | undefined): void {
    const isRefused = error instanceof Rejected && error.retryAfterMs !== undefined;
    const window = this.#windows.get(functionName) ?? (isRefused ? this.#open(functionName) : undefined);
    // Of functions that were never refused nothing is remembered.
    if (window === undefined) return;
    this.#forgetOld(window);
    if (window.buckets.length === 0 && !isRefused) {
      this.#windows.delete(functionName);
      return;
    }
    const bucket = this.#bucketOf(window);
    bucket.requests += 1;
    if (isRefused) window.retryAfterMs = error.retryAfterMs ?? 0;
    else bucket.accepts += 1;
  }

  #open(functionName: string): Window {
    const oldest = this.#windows.keys().next().value;
    if (this.#windows.size >= functionsMax && oldest !== undefined) this.#windows.delete(oldest);
    const window: Window = { buckets: [], retryAfterMs: 0 };
    this.#windows.set(functionName, window);
    return window;
  }

  #bucketOf(window: Window): Bucket {
    const now = this.#system.monotonic();
    const last = window.buckets.at(-1);
    if (last !== undefined && now - last.startedAt < bucketMs) return last;
    const bucket: Bucket = { startedAt: now, requests: 0, accepts: 0 };
    window.buckets.push(bucket);
    return bucket;
  }

  #forgetOld(window: Window): void {
    const now = this.#system.monotonic();
    window.buckets = window.buckets.filter(({ startedAt }) => now - startedAt < windowMs);
  }
}

function sumOf({ buckets }: Window): { readonly requests: number; readonly accepts: number } {
  return {
    requests: buckets.reduce((sum, bucket) => sum + bucket.requests, 0),
    accepts: buckets.reduce((sum, bucket) => sum + bucket.accepts, 0),
  };
}
