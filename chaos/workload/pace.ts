/** Calls `work` again and again, `everyMs` after it has ended, until the signal aborts. What fails is left to the next time. */
export async function repeat(everyMs: number, work: () => void | Promise<void>, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      await work();
    } catch {
      // Something is broken: that is what it is for.
    }
    await pause(everyMs, signal);
  }
}

/** Resolves after `ms`, or at once when the signal aborts. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end, { once: true });
  });
}

/** How many events of a Poisson process with this rate per second are due; ask again and again with the time in ms. */
export function createPace(rate: number, random: () => number): (now: number) => number {
  let next: number | undefined;
  const gap = () => (-Math.log(1 - random()) * 1_000) / rate;
  return (now) => {
    let due = 0;
    for (next ??= now + gap(); next <= now; next += gap()) due += 1;
    return due;
  };
}
