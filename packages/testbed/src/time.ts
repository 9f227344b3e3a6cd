import { AppError } from "@sluice/core";

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

export interface UntilOptions {
  /** For the message, such as `etcd does not answer`. */
  readonly what: string;
  readonly timeoutMs: number;
  readonly everyMs?: number;
}

/** Asks again and again until the answer is yes. Throws `TOOK_TOO_LONG`. */
export async function until(holds: () => boolean | Promise<boolean>, options: UntilOptions): Promise<void> {
  const { what, timeoutMs, everyMs = 20 } = options;
  const endsAt = performance.now() + timeoutMs;
  while (!(await holds())) {
    if (performance.now() > endsAt) throw new AppError("timeout", "TOOK_TOO_LONG", `${what} after ${timeoutMs} ms`);
    await sleep(everyMs);
  }
}
