import { AppError, type Clock, deadline } from "@sluice/core";

/** Calls with a deadline on the injected clock, and returns at the deadline even if the callee does not obey its signal. */
export async function callWithin<T>(
  { clock, ms, signal }: { clock: Clock; ms: number; signal?: AbortSignal },
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const limit = deadline(clock, ms, signal);
  try {
    return await new Promise<T>((resolve, reject) => {
      const giveUp = () => reject(new AppError("timeout", "NO_ANSWER", `no answer within ${ms} ms`));
      if (limit.signal.aborted) return giveUp();
      limit.signal.addEventListener("abort", giveUp, { once: true });
      call(limit.signal).then(resolve, reject);
    });
  } finally {
    limit.cancel();
  }
}
