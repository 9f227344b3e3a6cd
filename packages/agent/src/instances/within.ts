import type { Clock } from "@sluice/core";

/** What `promise` resolves to, or undefined once the signal aborts or the time is over. Leaves no timer behind. */
export async function within<T>(
  promise: Promise<T>,
  signal: AbortSignal | undefined,
  clock?: Clock,
  ms?: number,
): Promise<T | undefined> {
  const done = new AbortController();
  const stop = signal ? AbortSignal.any([signal, done.signal]) : done.signal;
  const waits: Promise<T | undefined>[] = [promise];
  if (clock && ms !== undefined) waits.push(clock.sleep(ms, stop).then(() => undefined));
  if (signal) waits.push(aborted(stop));
  try {
    return await Promise.race(waits);
  } finally {
    done.abort();
  }
}

function aborted(signal: AbortSignal): Promise<undefined> {
  if (signal.aborted) return Promise.resolve(undefined);
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(undefined), { once: true }));
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
