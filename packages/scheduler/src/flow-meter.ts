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
/** Of flows that ask so many are reported, and so many of one account: no more would get a queue, and others would be left out. */
const askingMax = (reportedFlowsMax * 3) / 4;
const askingOfAccountMax = 8;
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
      loads.sort(byHeat);
      // One that has its queue need not be heard of again.
      const asking = loads.filter(({ asksFor: asked }) => asked !== "nothing");
      const [routed, unrouted] = [asking.filter(isRouted), asking.filter((flow) => !isRouted(flow))];
      const others = loads.filter(({ asksFor: asked }) => asked === "nothing");
      return [...fewOfEach([...unrouted, ...routed]), ...others].slice(0, reportedFlowsMax);
    },
  };
}

/** Not so many that no others are reported; the first of each account, then the second of each. */
function fewOfEach(asking: readonly FlowLoad[]): FlowLoad[] {
  const ofAccount = new Map<string, number>();
  const counted = asking.map((flow) => {
    const nth = (ofAccount.get(flow.accountId) ?? 0) + 1;
    ofAccount.set(flow.accountId, nth);
    return { flow, nth };
  });
  const few = counted.filter(({ nth }) => nth <= askingOfAccountMax).sort((a, b) => a.nth - b.nth);
  return few.slice(0, askingMax).map(({ flow }) => flow);
}

/** The hottest first. */
function byHeat(a: FlowLoad, b: FlowLoad): number {
  return b.waiting - a.waiting || b.dispatchedPerSecond - a.dispatchedPerSecond || (flowKey(a) < flowKey(b) ? -1 : 1);
}
