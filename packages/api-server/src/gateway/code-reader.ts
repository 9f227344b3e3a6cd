import { AppError, type Clock } from "@sluice/core";
import type { Store } from "@sluice/store";
import { LRUCache } from "lru-cache";
import { createBudget } from "../submit/budget.ts";

/** Reads the zips of functions for agents, each from the store once while many agents ask for it. */
export interface CodeReader {
  /** Rejects with `CODE_NOT_FOUND`. */
  read(sha256: string, signal: AbortSignal): Promise<Uint8Array>;
}

/** A zip has at most 50 MiB. */
const cachedBytesMax = 128 * 1024 * 1024;
const readsAtOnce = 2;
const readWaitMs = 30_000;

export function createCodeReader({ store, clock }: { readonly store: Store; readonly clock: Clock }): CodeReader {
  const cache = new LRUCache<string, Uint8Array>({
    maxSize: cachedBytesMax,
    sizeCalculation: (zip) => Math.max(1, zip.length),
  });
  const budget = createBudget({ clock, total: readsAtOnce, waitersMax: 10_000 });

  return {
    async read(sha256, signal) {
      const release = cache.has(sha256) ? () => {} : await budget.take(1, { signal, waitMs: readWaitMs });
      if (release === undefined) throw new AppError("cancelled", "CANCELLED", "the caller gave up");
      try {
        // It may have been read while this call waited.
        const zip = cache.get(sha256) ?? (await store.functions.code(sha256));
        if (zip === undefined) {
          throw new AppError("not_found", "CODE_NOT_FOUND", "no function has this code any more", { field: "sha256" });
        }
        cache.set(sha256, zip);
        return zip;
      } finally {
        release();
      }
    },
  };
}
