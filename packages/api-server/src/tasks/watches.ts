import { AppError, type Clock, createWake, type Seq } from "@sluice/core";
import type { ApiServerMetrics } from "../metrics.ts";

/** One caller that waits for a task to change. */
interface Watch extends Disposable {
  /**
   * Resolves with true when a hint said that the task may have changed since the last call; with false after `timeoutMs`
   * or on abort. Hints may be lost: the caller reads the row from time to time without one.
   */
  hinted(signal: AbortSignal, timeoutMs: number): Promise<boolean>;
}

export interface Watches {
  /** Throws `TOO_MANY_WATCHERS`. */
  open(seq: Seq): Watch;
  /** Something about the task changed. */
  hint(seq: Seq): void;
  readonly size: number;
}

export interface WatchesOptions {
  readonly clock: Clock;
  readonly metrics: ApiServerMetrics;
  readonly max: number;
}

/** Hints of the last moments are kept in two halves, the older of which is dropped as a whole: at least half a second. */
const halfMax = 10_000;

export function createWatches({ clock, metrics, max }: WatchesOptions): Watches {
  const watches = new Map<Seq, Set<() => void>>();
  // A task may change between the read that told its number and the opening of the watch.
  let recent = new Set<Seq>();
  let before = new Set<Seq>();
  let size = 0;

  return {
    open(seq) {
      if (size >= max) throw tooManyWatchers(max);
      const wake = createWake(clock);
      let isHinted = false;
      const listener = () => {
        isHinted = true;
        wake.notify();
      };
      if (recent.has(seq) || before.has(seq)) listener();
      const listeners = watches.get(seq) ?? new Set();
      watches.set(seq, listeners.add(listener));
      size += 1;
      metrics.watchers.set(size);
      return {
        async hinted(signal, timeoutMs) {
          await wake.wait(signal, timeoutMs);
          const answer = isHinted;
          isHinted = false;
          return answer;
        },
        [Symbol.dispose]() {
          if (!listeners.delete(listener)) return;
          if (listeners.size === 0 && watches.get(seq) === listeners) watches.delete(seq);
          size -= 1;
          metrics.watchers.set(size);
        },
      };
    },
    hint(seq) {
      if (recent.size >= halfMax) {
        before = recent;
        recent = new Set();
      }
      recent.add(seq);
      if (watches.size === 0) return;
      for (const listener of watches.get(seq) ?? []) listener();
    },
    get size() {
      return size;
    },
  };
}

function tooManyWatchers(max: number): AppError {
  return new AppError(
    "exhausted",
    "TOO_MANY_WATCHERS",
    `this api-server watches ${max} tasks already; try again later or read the task from time to time`,
    { retryAfterMs: 5_000 },
  );
}
