import { AppError } from "@sluice/core";

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

export interface UntilOptions {
  /** For the message: `no answer from etcd`. */
  readonly what: string;
  readonly timeoutMs: number;
  readonly everyMs?: number;
}

/** Asks again and again until the answer is yes. Throws `BACKEND_TIMEOUT`. */
export async function until(holds: () => boolean | Promise<boolean>, options: UntilOptions): Promise<void> {
  const { what, timeoutMs, everyMs = 20 } = options;
  const endsAt = performance.now() + timeoutMs;
  while (!(await holds())) {
    if (performance.now() > endsAt) throw new AppError("timeout", "BACKEND_TIMEOUT", `${what} after ${timeoutMs} ms`);
    await sleep(everyMs);
  }
}
