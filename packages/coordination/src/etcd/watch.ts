// Loop: hints that keys of a range may have changed.
//
//   opening ──created──▶ open ──changed: hint──▶ open
//      ▲ └─not in time─┐    │
//      └─after a pause─┴────┴─ stream ended, or its host was given up
//
// It never asks for what it missed: a hint after every re-opening makes the listener look for itself.
import type { Clock, Random } from "@sluice/core";
import type { Range } from "./host.ts";
import type { Link } from "./link.ts";
import type { EtcdMetrics } from "./metrics.ts";

export interface WatchDeps {
  readonly link: Link;
  readonly openDeadlineMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly metrics: EtcdMetrics;
}

const pauseFirstMs = 100;
const pauseMaxMs = 2_000;

export async function watchRange(
  { link, openDeadlineMs, clock, random, metrics }: WatchDeps,
  range: Range,
  { onHint, signal }: { readonly onHint: () => void; readonly signal: AbortSignal },
): Promise<void> {
  let isFirst = true;
  let failures = 0;
  while (!signal.aborted) {
    const current = link.current;
    const late = new AbortController();
    const cancelTimer = clock.timer(openDeadlineMs, () => late.abort());
    let isCreated = false;
    const listener = {
      onCreated() {
        cancelTimer();
        isCreated = true;
        failures = 0;
        if (!isFirst) onHint();
      },
      onChanged: onHint,
    };
    await current.host.watch(range, listener, AbortSignal.any([signal, current.givenUp, late.signal]));
    cancelTimer();
    if (signal.aborted) return;
    if (!isCreated) link.giveUp(current, "a watch was not opened");
    isFirst = false;
    metrics.watchRestarts.inc();
    await clock.sleep(random.next() * Math.min(pauseMaxMs, pauseFirstMs * 2 ** failures), signal);
    failures += 1;
  }
}
