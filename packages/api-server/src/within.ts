import { type Clock, deadline } from "@sluice/core";

/** The answer of `work`, or what `tooLate` gives after `ms`; the work itself goes on. */
export async function within<T, U>(clock: Clock, ms: number, work: Promise<T>, tooLate: () => U): Promise<T | U> {
  const limit = deadline(clock, ms);
  const late = new Promise<U>((resolve) => {
    limit.signal.addEventListener("abort", () => resolve(tooLate()), { once: true });
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    limit.cancel();
  }
}
