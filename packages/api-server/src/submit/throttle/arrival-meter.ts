// How much is submitted here, and by whom most of it, in bounded memory.
import {
  type AccountId,
  type Clock,
  createSampleAndHold,
  type Flow,
  type FunctionName,
  type Random,
} from "@sluice/core";
import { type Arrivals, type FlowArrivals, reportedFlowsMax } from "@sluice/queue";

export interface ArrivalMeter {
  count(arrival: Flow & { readonly queue: string }, tasks: number): void;
  /** What came since the last report; undefined: nothing did. */
  report(): Arrivals | undefined;
  /** Flows in its memory. */
  readonly size: number;
}

export interface ArrivalMeterOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly serverId: string;
  /** Tasks of the account that are not final, if that is known. */
  readonly waitingOf: (accountId: AccountId) => number | undefined;
}

/** More queues than that are never named; they come from our own routes. */
const queuesMax = 4_096;

export function createArrivalMeter({ clock, random, serverId, waitingOf }: ArrivalMeterOptions): ArrivalMeter {
  const sampled = createSampleAndHold(random);
  let totals = new Map<string, number>();
  let since = clock.monotonic();

  return {
    count({ queue, accountId, functionName }, tasks) {
      sampled.count(`${queue} ${accountId} ${functionName}`, tasks);
      const known = totals.get(queue);
      if (known !== undefined || totals.size < queuesMax) totals.set(queue, (known ?? 0) + tasks);
    },
    report() {
      const seconds = Math.max(1, clock.monotonic() - since) / 1_000;
      since = clock.monotonic();
      const { total, held } = sampled.endInterval();
      const counted = totals;
      totals = new Map();
      if (total === 0) return undefined;
      const flows = held.slice(0, reportedFlowsMax).map(({ key, estimate }): FlowArrivals => {
        const [queue = "", account, name] = key.split(" ");
        const accountId = account as AccountId;
        const perSecond = estimate / seconds;
        return { queue, accountId, functionName: name as FunctionName, perSecond, waiting: waitingOf(accountId) };
      });
      return { serverId, totals: new Map([...counted].map(([queue, tasks]) => [queue, tasks / seconds])), flows };
    },
    get size() {
      return sampled.size;
    },
  };
}
