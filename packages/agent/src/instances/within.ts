import type { Clock } from "@sluice/core";
import type { StopSignal } from "./stop-signal.ts";

/** What `promise` resolves to, or undefined once the signal aborts or the time is over. Leaves no timer behind. */
export async function within<T>(
  promise: Promise<T>,
  signal: StopSignal | undefined,
  clock?: Clock,
  ms?: number,
): Promise<T | undefined> {
  const done = new AbortController();
  const stopped = deferred<undefined>();
  const stop = () => stopped.resolve(undefined);
  const waits: Promise<T | undefined>[] = [promise, stopped.promise];
  if (clock && ms !== undefined) waits.push(clock.sleep(ms, done.signal).then(() => undefined));
  if (signal?.aborted) stop();
  else signal?.addEventListener("abort", stop);
  try {
    return await Promise.race(waits);
  } finally {
    signal?.removeEventListener("abort", stop);
    done.abort();
  }
}

export interface Deferred<T> {
  readonly promise: Promise<T>;
  /** The first call counts. */
  readonly resolve: (value: T) => void;
}

export function deferred<T>(): Deferred<T> {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((resolvePromise) => {
    resolve = resolvePromise;
  });
  return { promise, resolve };
}
