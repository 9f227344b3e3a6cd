// Which of its two queues each account uses: the shorter one, with hysteresis. Only accounts that left their first queue, or
// came back to it a moment ago, are remembered.
import type { AdmissionFollower } from "@sluice/coordination";
import { type AccountId, type Clock, type ShorterQueueConfig, shorterQueue } from "@sluice/core";
import { LRUCache } from "lru-cache";

export interface PreferredQueues {
  /** Undefined: nobody says how full the queues are, so it is the first. */
  of(accountId: AccountId, pair: readonly string[]): string | undefined;
}

export interface PreferredQueuesOptions {
  readonly clock: Clock;
  readonly admission: Pick<AdmissionFollower, "current">;
  readonly shorterQueue?: ShorterQueueConfig | undefined;
}

/** An account that changed its queue stays so long: lengths that are seconds old must not send everybody to and fro. */
const staysMs = 10_000;
const accountsMax = 10_000;

interface Choice {
  readonly queue: string;
  /** Monotonic. */
  readonly since: number;
}

export function createPreferredQueues(options: PreferredQueuesOptions): PreferredQueues {
  const { clock, admission } = options;
  const choices = new LRUCache<AccountId, Choice>({ max: accountsMax });

  return {
    of(accountId, pair) {
      const followed = admission.current();
      if (followed === undefined || followed.ageMs > followed.admission.validForMs) return undefined;
      const { queues } = followed.admission;
      const now = clock.monotonic();
      const choice = choices.get(accountId);
      if (choice !== undefined && now - choice.since < staysMs) return choice.queue;
      const inUse = choice?.queue ?? pair[0];
      if (inUse === undefined) return undefined;
      const queue = shorterQueue(pair, inUse, (name) => queues.get(name)?.waiting ?? 0, options.shorterQueue);
      if (queue !== inUse) choices.set(accountId, { queue, since: now });
      else if (queue === pair[0]) choices.delete(accountId);
      return queue;
    },
  };
}
