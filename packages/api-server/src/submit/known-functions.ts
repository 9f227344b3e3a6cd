import { type AccountId, type Clock, type Flow, type FunctionName, flowKey } from "@sluice/core";
import type { FunctionRecord, Store } from "@sluice/store";
import { LRUCache } from "lru-cache";

/**
 * Which functions exist, for admission. May be a moment behind: a task for a function that was just deleted is accepted and
 * ends as Invalid. What does not exist is never remembered, so a function can be used as soon as it was created.
 */
export interface KnownFunctions {
  /** Those of `names` that exist, with one read for all that are not known. */
  find(accountId: AccountId, names: ReadonlySet<FunctionName>): Promise<ReadonlyMap<FunctionName, FunctionRecord>>;
  /** The function changed or was deleted: read it again. */
  forget(key: string): void;
}

export interface KnownFunctionsOptions {
  readonly store: Store;
  readonly clock: Clock;
  /** A function that was read longer ago is read again, because hints may be lost. */
  readonly ageMsMax: number;
}

const functionsMax = 10_000;

export function createKnownFunctions({ store, clock, ageMsMax }: KnownFunctionsOptions): KnownFunctions {
  const cache = new LRUCache<string, { readonly record: FunctionRecord; readonly readAt: number }>({
    max: functionsMax,
  });
  let forgotten = 0;

  return {
    async find(accountId, names) {
      const found = new Map<FunctionName, FunctionRecord>();
      const missing: Flow[] = [];
      const now = clock.monotonic();
      for (const functionName of names) {
        const flow = { accountId, functionName };
        const cached = cache.get(flowKey(flow));
        if (cached !== undefined && now - cached.readAt < ageMsMax) found.set(functionName, cached.record);
        else missing.push(flow);
      }
      if (missing.length === 0) return found;
      const forgottenBefore = forgotten;
      for (const record of await store.functions.read(missing)) {
        found.set(record.functionName, record);
        // A hint that came during the read may be about what was read.
        if (forgotten === forgottenBefore) cache.set(flowKey(record), { record, readAt: now });
      }
      return found;
    },
    forget(key) {
      forgotten += 1;
      cache.delete(key);
    },
  };
}
