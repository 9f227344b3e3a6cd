import { assert } from "@sluice/core";

/** The most items of one call; callers split larger ones. What one statement may hold up others for. */
export const batchMax = 10_000;

/** The log of an attempt ends here. */
export const logBytesMax = 1024 * 1024;

export function assertBatch(items: readonly unknown[] | number, what: string): void {
  const count = typeof items === "number" ? items : items.length;
  assert(Number.isInteger(count) && count >= 0 && count <= batchMax, `${what}: ${count} is not 0 to ${batchMax}`);
}
