import { type Clock, type Flow, flowKey } from "@sluice/core";
import { functionTopic, type Signals } from "@sluice/queue";
import type { FunctionRecord, Store } from "@sluice/store";

/** Functions that owners have read lately, in batches. A change is seen at once by its hint, and after 10 s without one. */
export interface FunctionCache {
  /** By flow key; undefined: no such function. */
  read(flows: readonly Flow[]): Promise<ReadonlyMap<string, FunctionRecord | undefined>>;
  /** What is remembered, however old; undefined: nothing. */
  peek(flow: Flow): FunctionRecord | undefined;
  /** Follows hints until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
}

const ageMaxMs = 10_000;
const entriesMax = 10_000;

export function createFunctionCache(deps: { clock: Clock; store: Store; signals: Signals }): FunctionCache {
  const { clock, store, signals } = deps;
  const entries = new Map<string, { readonly record: FunctionRecord | undefined; readonly readAt: number }>();

  function fresh(key: string): boolean {
    const entry = entries.get(key);
    return entry !== undefined && clock.monotonic() - entry.readAt < ageMaxMs;
  }

  async function fetch(flows: readonly Flow[]): Promise<void> {
    const readAt = clock.monotonic();
    const records = new Map((await store.functions.read(flows)).map((record) => [flowKey(record), record]));
    if (entries.size + flows.length > entriesMax) entries.clear();
    for (const flow of flows) entries.set(flowKey(flow), { record: records.get(flowKey(flow)), readAt });
  }

  return {
    async read(flows) {
      const wanted = new Map(flows.map((flow) => [flowKey(flow), flow]));
      const missing = [...wanted].filter(([key]) => !fresh(key)).map(([, flow]) => flow);
      if (missing.length > 0) await fetch(missing);
      return new Map([...wanted.keys()].map((key) => [key, entries.get(key)?.record]));
    },
    peek: (flow) => entries.get(flowKey(flow))?.record,
    run(signal) {
      const stop = signals.listen(functionTopic, (key) => entries.delete(key));
      return new Promise((resolve) => {
        const end = () => {
          stop();
          resolve();
        };
        if (signal.aborted) end();
        else signal.addEventListener("abort", end, { once: true });
      });
    },
  };
}
