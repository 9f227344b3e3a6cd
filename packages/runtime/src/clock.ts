import type { Clock } from "@sluice/core";

/** `setTimeout` takes what does not fit into 31 bits for 1 ms. */
const timeoutMaxMs = 2 ** 31 - 1;

/** Real time. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep,
  timer,
};

function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const onAbort = () => {
      cancel();
      resolve();
    };
    const cancel = timer(ms, () => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    });
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

function timer(ms: number, callback: () => void): () => void {
  const dueAt = performance.now() + ms;
  let handle: NodeJS.Timeout;
  const arm = (leftMs: number) => {
    handle = setTimeout(
      () => {
        const stillLeftMs = leftMs > timeoutMaxMs ? dueAt - performance.now() : 0;
        if (stillLeftMs > 0) arm(stillLeftMs);
        else callback();
      },
      Math.min(leftMs, timeoutMaxMs),
    );
  };
  arm(ms);
  return () => clearTimeout(handle);
}
