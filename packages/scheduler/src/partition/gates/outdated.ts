import type { Clock, Flow } from "@sluice/core";
import type { Gate } from "../gates.ts";

/** Newer ones are read within a second as a rule; each try until then costs a round trip. */
const waitMs = 50;

/**
 * A flow of which an agent refused an attempt, as sent by limits or a route that do not count any more, waits a moment: every
 * agent would refuse it until newer ones are read here. Nobody else waits, least of all for that agent.
 */
export function outdatedGate(clock: Pick<Clock, "monotonic">): Gate {
  /** Flows that wait, and until when: in the order in which that ends, as all wait for the same time. */
  const waits = new Map<string, { readonly flow: Flow; readonly until: number }>();

  return {
    room({ flowKey }) {
      const wait = waits.size > 0 ? waits.get(flowKey) : undefined;
      return wait === undefined || clock.monotonic() >= wait.until ? Number.POSITIVE_INFINITY : 0;
    },
    onOutdated({ flowKey, origin: { accountId, functionName } }) {
      waits.delete(flowKey);
      waits.set(flowKey, { flow: { accountId, functionName }, until: clock.monotonic() + waitMs });
    },
    dueAt() {
      for (const { until } of waits.values()) return until;
      return Number.POSITIVE_INFINITY;
    },
    due() {
      const now = clock.monotonic();
      const ready: Flow[] = [];
      for (const [flowKey, { flow, until }] of waits) {
        if (until > now) break;
        waits.delete(flowKey);
        ready.push(flow);
      }
      return ready;
    },
  };
}
