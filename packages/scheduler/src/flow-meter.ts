// What each flow does on this scheduler, for the load-balancer: which flows ask for a queue of their own, and which are hot.
import { type FlowLoad, reportedFlowsMax } from "@sluice/coordination";
import { type Clock, type Flow, flowKey, isLimited } from "@sluice/core";
import type { FunctionRecord } from "@sluice/store";
import type { AccountCache } from "./functions.ts";
import type { Gate } from "./partition/gates.ts";

export interface FlowMeter {
  /** Holds nothing back: it counts what is picked. */
  readonly gate: Gate;
  /** The flows to be reported: those that ask, those that have a queue, and the hottest. Counts anew from now on. */
  measure(waiting: Iterable<{ readonly flow: Flow; readonly size: number }>): FlowLoad[];
}

export interface FlowMeterOptions {
  readonly clock: Clock;
  readonly accounts: Pick<AccountCache, "peek">;
  /** Whether it has, gets or loses a queue of its own. */
  readonly isRouted: (flow: Flow) => boolean;
}

/** Flows that are counted between two reports; what is beyond is not hot. */
const countedMax = 10_000;
/** A flow that does not ask is reported from so much on. */
const leastWaiting = 1_000;
const leastPerSecond = 100;

interface Count {
  readonly flow: Flow;
  function: FunctionRecord | undefined;
  picked: number;
}

export function createFlowMeter({ clock, accounts, isRouted }: FlowMeterOptions): FlowMeter {
  let counts = new Map<string, Count>();
  let since = clock.monotonic();

  function asksFor({ flow, function: record }: Count): FlowLoad["asksFor"] {
    // All flows of an account with limits share one lane, whatever their functions ask for.
    if (record === undefined || isLimited(accounts.peek(flow.accountId)?.settings)) return "nothing";
    if (record.settings.latencySensitive) return "latency";
    return record.settings.dedicatedQueue ? "dedicated" : "nothing";
  }

  return {
    gate: {
      room: () => Number.POSITIVE_INFINITY,
      onPicked({ origin, flowKey: key, function: record }) {
        const known = counts.get(key);
        if (known !== undefined) {
          known.picked += 1;
          known.function = record ?? known.function;
        } else if (counts.size < countedMax) {
          const { accountId, functionName } = origin;
          counts.set(key, { flow: { accountId, functionName }, function: record, picked: 1 });
        }
      },
    },
    measure(waiting) {
      const counted = counts;
      const now = clock.monotonic();
      const seconds = Math.max(0.001, (now - since) / 1_000);
      counts = new Map();
      since = now;
      const sizes = new Map<string, { readonly flow: Flow; size: number }>();
      for (const { flow, size } of waiting) {
        const key = flowKey(flow);
        const known = sizes.get(key);
        if (known !== undefined) known.size += size;
        else if (size >= leastWaiting || counted.has(key)) sizes.set(key, { flow, size });
      }
      const keys = new Set([...counted.keys(), ...sizes.keys()]);
      const loads = [...keys].flatMap((key): FlowLoad[] => {
        const count = counted.get(key);
        const flow = count?.flow ?? sizes.get(key)?.flow;
        if (flow === undefined) return [];
        const size = sizes.get(key)?.size ?? 0;
        const perSecond = Math.round((10 * (count?.picked ?? 0)) / seconds) / 10;
        const asked = count === undefined ? "nothing" : asksFor(count);
        const isHot = size >= leastWaiting || perSecond >= leastPerSecond;
        if (asked === "nothing" && !isHot && !isRouted(flow)) return [];
        const { accountId, functionName } = flow;
        return [{ accountId, functionName, waiting: size, dispatchedPerSecond: perSecond, asksFor: asked }];
      });
      return loads.sort(byRank).slice(0, reportedFlowsMax);
    },
  };
}

/** Those that ask first; of the others the hottest. */
function byRank(a: FlowLoad, b: FlowLoad): number {
  const rank = ({ asksFor }: FlowLoad) => (asksFor === "nothing" ? 1 : 0);
  return (
    rank(a) - rank(b) ||
    b.waiting - a.waiting ||
    b.dispatchedPerSecond - a.dispatchedPerSecond ||
    (flowKey(a) < flowKey(b) ? -1 : 1)
  );
}
