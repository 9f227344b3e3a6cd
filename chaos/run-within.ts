// Bounds on waiting: every phase of a run ends, if it must by failing.

/** Rejects when it takes longer than `ms`, or when the signal aborts first; what it waited for may go on. */
export async function within<T>(
  work: Promise<T>,
  { ms, what, signal }: { readonly ms: number; readonly what: string; readonly signal: AbortSignal },
): Promise<T> {
  // Heard by nobody when the time was over before.
  work.catch(() => undefined);
  const over = new AbortController();
  try {
    return await Promise.race([
      work,
      sleep(ms, AbortSignal.any([signal, over.signal])).then(() => {
        throw new Error(`${what} took longer than ${Math.round(ms / 1_000)} s`);
      }),
    ]);
  } finally {
    over.abort();
  }
}

/** Rejects with the signal's reason when it aborts. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const onAbort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    }, ms);
    signal.addEventListener("abort", onAbort, { once: true });
  });
}

/** A failure in words; with its place, unless it is one that was foreseen. */
export function messageOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  const isBug = cause instanceof TypeError || cause instanceof RangeError || cause instanceof ReferenceError;
  // The first line: some have the end of a log behind it.
  return isBug ? (cause.stack ?? cause.message) : (cause.message.split("\n")[0] ?? "");
}
