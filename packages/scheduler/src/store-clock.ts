// Loop: the store's time, as this scheduler knows it.
//
//   unknown ──answered──▶ known, carried on by the monotonic clock ──5 s──▶ asked again
//
// Rows say in the store's time when they are due and when they expire, and api-servers wrote them. An owner that looked at its
// own wall clock would expire them early, park them for an hour, or sweep nothing for an hour, after that clock was set.
import { assert, type Clock, createWake, type EpochMs, type Loop } from "@sluice/core";
import type { Store } from "@sluice/store";

export interface StoreClockDeps {
  readonly clock: Clock;
  readonly store: Pick<Store, "ping">;
}

export interface StoreClock {
  /** As the clock that it was made of, but `now` is the store's. Nobody may ask for it before it is known. */
  readonly clock: Clock;
  /** Resolves when the store has answered once, or when the signal aborts. One waiter at a time. */
  known(signal: AbortSignal): Promise<void>;
  readonly run: Loop;
}

const askEveryMs = 5_000;
const firstEveryMs = 250;
const pendingMax = 3;

export function createStoreClock({ clock, store }: StoreClockDeps): StoreClock {
  /** Of the store's time to the monotonic clock. */
  let offset: number | undefined;
  let pending = 0;
  const answered = createWake(clock);

  async function ask(): Promise<void> {
    const askedAt = clock.monotonic();
    let storeNow: EpochMs;
    pending += 1;
    try {
      storeNow = await store.ping();
    } catch {
      // Whoever needs the store complains; until it is back the monotonic clock does.
      return;
    } finally {
      pending -= 1;
    }
    // The store looked at its clock between the two. What is known may be better than this answer: a slow one moves it little.
    const least = storeNow - clock.monotonic();
    const most = storeNow - askedAt;
    offset = offset === undefined ? (least + most) / 2 : Math.min(most, Math.max(least, offset));
    answered.notify();
  }

  function now(): EpochMs {
    assert(offset !== undefined, "nobody acts on the store's time before it is known");
    return Math.floor(clock.monotonic() + offset);
  }

  return {
    clock: {
      now,
      monotonic: () => clock.monotonic(),
      sleep: (ms, signal) => clock.sleep(ms, signal),
      timer: (ms, callback) => clock.timer(ms, callback),
    },
    async known(signal) {
      while (offset === undefined && !signal.aborted) await answered.wait(signal);
    },
    async run(signal) {
      while (!signal.aborted) {
        // An answer that never comes must not be the last.
        if (pending < pendingMax) void ask();
        await clock.sleep(offset === undefined ? firstEveryMs : askEveryMs, signal);
      }
    },
  };
}
