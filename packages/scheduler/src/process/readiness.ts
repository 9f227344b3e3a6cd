import type { Backends } from "@sluice/backends";
import type { Probe } from "@sluice/runtime";
import type { Scheduler } from "../scheduler.ts";

/**
 * Whether a task of its partitions would be dispatched: not only that the others answer, but that it is the owner, may act,
 * is served by store and queue as the owner, and reaches an agent. One that is wished to own nothing is ready without.
 */
export function readinessOf(scheduler: Scheduler, { health }: Pick<Backends, "health">): Record<string, Probe> {
  return {
    store: () => health.store.isUp,
    queue: () => health.queue.isUp,
    coordinator: () => health.coordinator.isUp,
    lease: () => scheduler.isTrusted,
    partitions() {
      const { wished } = scheduler;
      const owned = scheduler.partitions.length;
      return { ok: wished !== undefined && owned === wished.length, wished: wished?.length, owned };
    },
    async served() {
      const served = await Promise.all(scheduler.partitions.map((partition) => partition.isServed()));
      return { ok: served.every(Boolean), owned: served.length };
    },
    agents() {
      const attached = scheduler.attachedAgents;
      return { ok: attached > 0 || scheduler.partitions.length === 0, attached };
    },
  };
}
