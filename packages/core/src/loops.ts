/** A long-lived activity: returns when the signal aborts, rejects on a failure that must end the process. */
export type Loop = (signal: AbortSignal) => Promise<void>;

/** Runs loops together and ends them together: the first failure aborts the others and is thrown. */
export async function runAll(signal: AbortSignal, ...loops: readonly Loop[]): Promise<void> {
  const failure = new AbortController();
  const stop = AbortSignal.any([signal, failure.signal]);
  await Promise.all(loops.map((loop) => loop(stop).catch((cause: unknown) => failure.abort(cause))));
  if (failure.signal.aborted) throw failure.signal.reason;
}
