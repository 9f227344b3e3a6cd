// The external systems: what their servers do to everybody.
import type { StrikeAction } from "./index.ts";

export const systemStrikes = {
  /** As a stale leader of etcd does it: the lease ends before its time. */
  "lease lost": async ({ world, dice }) => {
    const entries = (await world.coordinator.list("/")).filter(({ leaseId }) => leaseId !== undefined);
    if (entries.length === 0) return "there was none";
    const { key, leaseId } = dice.pick(entries);
    world.counters.add("lease lost early");
    world.trace.add(`LEASE LOST ${key}`);
    await world.coordinator.revoke({ id: leaseId ?? "", ttlMs: 0 });
    return key;
  },
} as const satisfies Record<string, StrikeAction>;
