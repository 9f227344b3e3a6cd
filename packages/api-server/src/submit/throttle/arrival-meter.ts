// How much is submitted here, and by whom most of it, in bounded memory. Accounts are counted whole, so that nobody becomes small by
// being many functions, and functions for the division inside an account.
import {
  type AccountId,
  type Clock,
  createSampleAndHold,
  type Flow,
  type FunctionName,
  type Held,
  otherFunctions,
  type Random,
} from "@sluice/core";
import { type Arrivals, type FlowArrivals, reportedFlowsMax } from "@sluice/queue";

export interface ArrivalMeter {
  count(arrival: Flow & { readonly queue: string }, tasks: number): void;
  /** What came since the last report; undefined: nothing did. The lines of an account add up to all of it. */
  report(): Arrivals | undefined;
  /** Flows in its memory, which has as much room again for accounts. */
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
/** Each of them has a line for sure; the other lines name functions of theirs. */
export const reportedAccountsMax = 96;
/** Of one account: who has many functions leaves lines to others. */
export const reportedFunctionsMax = 8;

export function createArrivalMeter({ clock, random, serverId, waitingOf }: ArrivalMeterOptions): ArrivalMeter {
  const accounts = createSampleAndHold(random);
  const flows = createSampleAndHold(random);
  let totals = new Map<string, number>();
  let since = clock.monotonic();

  return {
    count({ queue, accountId, functionName }, tasks) {
      const account = `${queue} ${accountId}`;
      if (accounts.count(account, tasks)) flows.count(`${account} ${functionName}`, tasks);
      const known = totals.get(queue);
      if (known !== undefined || totals.size < queuesMax) totals.set(queue, (known ?? 0) + tasks);
    },
    report() {
      const seconds = Math.max(1, clock.monotonic() - since) / 1_000;
      since = clock.monotonic();
      const { total, held } = accounts.endInterval();
      const lines = linesOf(held, flows.endInterval().held);
      const counted = totals;
      totals = new Map();
      if (total === 0) return undefined;
      const reported = lines.map(({ key, estimate }): FlowArrivals => {
        const [queue = "", account, name] = key.split(" ");
        const accountId = account as AccountId;
        const perSecond = estimate / seconds;
        return { queue, accountId, functionName: name as FunctionName, perSecond, waiting: waitingOf(accountId) };
      });
      const perSecond = new Map([...counted].map(([queue, tasks]) => [queue, tasks / seconds]));
      return { serverId, totals: perSecond, flows: reported };
    },
    get size() {
      return flows.size;
    },
  };
}

/** The largest accounts; of each its largest functions, and in one line what the others of it submit. */
function linesOf(accounts: readonly Held[], flows: readonly Held[]): Pick<Held, "key" | "estimate">[] {
  const reported = accounts.slice(0, reportedAccountsMax);
  const named = new Map(reported.map(({ key }) => [key, [] as Held[]]));
  let room = reportedFlowsMax - reported.length;
  for (const flow of flows) {
    if (room === 0) break;
    const ofAccount = named.get(flow.key.slice(0, flow.key.lastIndexOf(" ")));
    if (ofAccount === undefined || ofAccount.length === reportedFunctionsMax) continue;
    ofAccount.push(flow);
    room -= 1;
  }
  return reported.flatMap(({ key, estimate }) => {
    let left = estimate;
    const functions = (named.get(key) ?? []).map((flow) => {
      const taken = Math.min(left, flow.estimate);
      left -= taken;
      return { key: flow.key, estimate: taken };
    });
    const lines = [...functions, { key: `${key} ${otherFunctions}`, estimate: left }];
    return lines.filter(({ estimate: some }) => some > 0);
  });
}
