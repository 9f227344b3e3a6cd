import { type Coordinator, claimsPrefix } from "@sluice/coordination";
import { type Clock, laneCount, lanesOf, parsePartitionKey, sharedQueues } from "@sluice/core";
import type { Probe } from "@sluice/runtime";
import type { Store } from "@sluice/store";

export interface DispatchProbeDeps {
  readonly store: Store;
  readonly coordinator: Coordinator;
  readonly clock: Clock;
}

/** A renewal that is older than this was missed several times. */
const renewedWithinMs = 10_000;

/** Whether what is submitted now would run: every lane has an owner, and an agent is alive. */
export function createDispatchProbe({ store, coordinator, clock }: DispatchProbeDeps): Probe {
  return async () => {
    const [claims, listed] = await Promise.all([coordinator.list(claimsPrefix), store.agents.list()]);
    const queues = new Set(sharedQueues());
    const partitions = claims.map(({ key }) => parsePartitionKey(key.slice(claimsPrefix.length)));
    const lanesClaimed = partitions
      .filter(({ queue }) => queues.has(queue))
      .reduce((sum, { prefix }) => sum + lanesOf(prefix).until - lanesOf(prefix).from, 0);
    const lanes = queues.size * laneCount;
    const isAlive = ({ renewedAt }: { renewedAt: number }) => clock.now() - renewedAt < renewedWithinMs;
    const agents = listed.filter((agent) => !agent.fenced && isAlive(agent)).length;
    return { ok: lanesClaimed === lanes && agents > 0, lanes, lanesClaimed, agents };
  };
}
