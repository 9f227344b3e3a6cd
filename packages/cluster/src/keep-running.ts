// Starts again what has ended without being asked to.
//
//   watching ──it is gone, but wanted──▶ waiting (back-off) ──still wanted──▶ starting ──▶ watching
//
// It looks rather than listens, so that whoever stops and starts parts by hand at the same time is no special case.
import type { Clock, Random } from "@sluice/core";

export interface Part {
  readonly name: string;
  readonly pid: number | undefined;
  readonly isWanted: boolean;
  start(): Promise<void>;
}

export interface KeepRunningOptions {
  readonly part: Part;
  readonly clock: Clock;
  readonly random: Random;
  /** Called before a start, and when that has failed. */
  onRestart?(part: Part, failure?: unknown): void;
}

const lookEveryMs = 100;
const backOffMinMs = 200;
const backOffMaxMs = 5_000;
/** One that ran this long has done with whatever ended it before. */
const wellAfterMs = 10_000;

export async function keepRunning(options: KeepRunningOptions, signal: AbortSignal): Promise<void> {
  const { part, clock, random, onRestart } = options;
  let deaths = 0;
  let startedAt = clock.monotonic();
  const isMissing = () => part.isWanted && part.pid === undefined && !signal.aborted;
  while (!signal.aborted) {
    await clock.sleep(lookEveryMs, signal);
    if (!isMissing()) continue;
    if (clock.monotonic() - startedAt > wellAfterMs) deaths = 0;
    const backOffMs = Math.min(backOffMinMs * 2 ** deaths, backOffMaxMs);
    await clock.sleep(backOffMs * (0.5 + random.next()), signal);
    if (!isMissing()) continue;
    deaths += 1;
    startedAt = clock.monotonic();
    onRestart?.(part);
    try {
      await part.start();
    } catch (failure) {
      if (isMissing()) onRestart?.(part, failure);
    }
  }
}
