import { type AccountId, type Clock, type Flow, flowKey } from "@sluice/core";
import { accountTopic, functionTopic, type Signals } from "@sluice/queue";
import type { AccountRecord, FunctionRecord, Store } from "@sluice/store";
import type { Reserved } from "./partition/reserved.ts";

/**
 * Records that owners have read lately, in batches: 10,000, as many as were read last. A change is seen at once by its hint, and
 * after 10 s without one.
 */
interface RecordCache<Key, Value> {
  /** By the text of the key; undefined: there is no such record. */
  read(keys: readonly Key[]): Promise<ReadonlyMap<string, Value | undefined>>;
  /** What is remembered; undefined: nothing, or it was read longer ago. Default: however old. */
  peek(key: Key, youngerThanMs?: number): Value | undefined;
  /** Whether anything is remembered, also that there is no such record. */
  knows(key: Key): boolean;
  /**
   * Whether this is what is remembered, and was read less than `usableMs` ago. Asked right before something is sent that
   * depends on it: whoever waits for that long after a change knows that nobody acts by what was before.
   */
  isUsable(key: Key, value: Value | undefined): boolean;
  /** Follows hints until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
}

export type FunctionCache = RecordCache<Flow, FunctionRecord>;
export type AccountCache = RecordCache<AccountId, AccountRecord>;
/** What is kept for the functions of an account. */
export type ReservedCache = RecordCache<AccountId, Reserved>;

interface CacheDeps {
  readonly clock: Clock;
  readonly store: Store;
  readonly signals: Signals;
}

/** What is older is read again. */
export const ageMaxMs = 10_000;
/** A record that was read just before it became too old may still be used for the batch that it was read for. */
export const usableMs = 12_000;
const entriesMax = 10_000;

export function createFunctionCache({ clock, store, signals }: CacheDeps): FunctionCache {
  return createRecordCache({
    clock,
    signals,
    topic: functionTopic,
    keyOf: flowKey,
    fetch: async (flows) =>
      new Map((await store.functions.read(flows)).map((record) => [flowKey(record), record] as const)),
  });
}

export function createAccountCache({ clock, store, signals }: CacheDeps): AccountCache {
  return createRecordCache<AccountId, AccountRecord>({
    clock,
    signals,
    topic: accountTopic,
    keyOf: (accountId) => accountId,
    fetch: async (ids) =>
      new Map((await store.accounts.read(ids)).map((record) => [record.accountId, record] as const)),
  });
}

/** Forgets an account when one of its functions changes. */
export function createReservedCache({ clock, store, signals }: CacheDeps): ReservedCache {
  return createRecordCache<AccountId, Reserved>({
    clock,
    signals,
    topic: functionTopic,
    keyOf: (accountId) => accountId,
    keyOfHint: (text) => text.split("/", 1)[0] ?? "",
    fetch: async (ids) => {
      const found = new Map(ids.map((id) => [id as string, new Map<string, number>()]));
      for (const { slots, ...flow } of await store.functions.reserved(ids))
        found.get(flow.accountId)?.set(flowKey(flow), slots);
      return found;
    },
  });
}

interface RecordCacheParts<Key, Value> {
  readonly clock: Clock;
  readonly signals: Signals;
  readonly topic: string;
  /** The text of the key that a payload of the topic is about. Default: the payload. */
  readonly keyOfHint?: (payload: string) => string;
  readonly keyOf: (key: Key) => string;
  readonly fetch: (keys: readonly Key[]) => Promise<ReadonlyMap<string, Value>>;
}

function createRecordCache<Key, Value>(parts: RecordCacheParts<Key, Value>): RecordCache<Key, Value> {
  const { clock, signals, keyOf, keyOfHint = (payload) => payload } = parts;
  /** The one that was read longest ago first. */
  const entries = new Map<string, { readonly value: Value | undefined; readonly readAt: number }>();
  let hints = 0;

  const isYounger = (key: string, ms: number): boolean => {
    const entry = entries.get(key);
    return entry !== undefined && clock.monotonic() - entry.readAt < ms;
  };

  return {
    async read(keys) {
      const answer = new Map<string, Value | undefined>();
      const missing = new Map<string, Key>();
      for (const key of keys) {
        const text = keyOf(key);
        if (isYounger(text, ageMaxMs)) answer.set(text, entries.get(text)?.value);
        else missing.set(text, key);
      }
      if (missing.size === 0) return answer;
      const readAt = clock.monotonic();
      const hintsBefore = hints;
      const found = await parts.fetch([...missing.values()]);
      // A hint that came meanwhile may be about what was read: it is usable, but not for long.
      const dated = hints === hintsBefore ? readAt : Math.min(readAt, clock.monotonic() - ageMaxMs);
      for (const text of missing.keys()) {
        answer.set(text, found.get(text));
        entries.delete(text);
        entries.set(text, { value: found.get(text), readAt: dated });
      }
      for (const text of entries.keys()) {
        if (entries.size <= entriesMax) break;
        entries.delete(text);
      }
      return answer;
    },
    peek(key, youngerThanMs = Number.POSITIVE_INFINITY) {
      const text = keyOf(key);
      return isYounger(text, youngerThanMs) ? entries.get(text)?.value : undefined;
    },
    knows: (key) => entries.has(keyOf(key)),
    isUsable: (key, value) => isYounger(keyOf(key), usableMs) && entries.get(keyOf(key))?.value === value,
    run(signal) {
      const stop = signals.listen(parts.topic, (payload) => {
        hints++;
        entries.delete(keyOfHint(payload));
      });
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
