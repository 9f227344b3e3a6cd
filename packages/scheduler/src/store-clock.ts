// Loop: the store's time, as this scheduler knows it.
//
//   unknown ──answered──▶ known, carried on by the monotonic clock ──5 s──▶ asked again
//
// Rows say in the store's time when they are due and when they expire, and api-servers wrote them. An owner that looked at its
// own wall clock would expire them early, park them for an hour, or sweep nothing for an hour, after that clock was set.
import type { Clock, EpochMs, Loop } from "@sluice/core";
import type { Store } from "@sluice/store";

export interface StoreClockDeps {
  readonly clock: Clock;
  readonly store: Pick<Store, "ping">;
}

export interface StoreClock {
  /** As the clock that it was made of, but `now` is the store's; until the store has answered once, the wall clock's. */
  readonly clock: Clock;
  readonly run: Loop;
}

const askEveryMs = 5_000;
const firstEveryMs = 250;
const pendingMax = 3;

export function createStoreClock({ clock, store }: StoreClockDeps): StoreClock {
  /** Of the store's time to the monotonic clock. */
  let offset: number | undefined;
  let pending = 0;

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
  }

  return {
    clock: {
      now: () => (offset === undefined ? clock.now() : Math.floor(clock.monotonic() + offset)),
      monotonic: () => clock.monotonic(),
      sleep: (ms, signal) => clock.sleep(ms, signal),
      timer: (ms, callback) => clock.timer(ms, callback),
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
