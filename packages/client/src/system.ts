// The only place of the client that touches time and randomness. The client runs in users' programs, not in the cluster,
// so it takes the system's; tests pass their own.
import { randomBytes } from "node:crypto";

/** Time and randomness. */
export interface System {
  /** Wall time in ms since the epoch; only for making ids that sort by age. */
  now(): number;
  /** Monotonic time in ms. */
  monotonic(): number;
  /** Resolves after `ms`, or at once when `signal` aborts; never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls back after `ms` unless the returned function is called first. */
  timer(ms: number, callback: () => void): () => void;
  /** Calls back soon, when what is ready now has been worked off. */
  soon(callback: () => void): void;
  /** Uniform in [0, 1). */
  random(): number;
  /** A text of letters and digits that nobody can guess, with 128 random bits. */
  uniqueText(): string;
}

const timerMsMax = 2 ** 31 - 1;

export const system: System = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  async sleep(ms, signal) {
    if (signal?.aborted) return;
    await new Promise<void>((resolve) => {
      const end = () => {
        clearTimeout(timeout);
        signal?.removeEventListener("abort", end);
        resolve();
      };
      const timeout = setTimeout(end, Math.min(ms, timerMsMax));
      signal?.addEventListener("abort", end, { once: true });
    });
  },
  timer(ms, callback) {
    const timeout = setTimeout(callback, Math.min(ms, timerMsMax));
    return () => clearTimeout(timeout);
  },
  soon: (callback) => void setImmediate(callback),
  random: () => Math.random(),
  uniqueText: () => randomBytes(16).toString("hex"),
};
