// Workloads that differ from the usual one, and what scenarios wait for in them.
import { until } from "@sluice/testbed";
import type { Scenario, Stage } from "../contract.ts";

/** For `--quick`, `--fast`, and CI: long tasks outlive a lease and a failover, but not the minute of a fast scenario. */
export const brisk: NonNullable<Scenario["workload"]> = { longMs: [8_000, 15_000] };

/** Waits until several tasks run, so that a fault has something to break. */
export async function tasksRun({ workload }: Stage, count = 5): Promise<void> {
  await until(() => workload.running().length >= count, {
    what: `fewer than ${count} tasks run`,
    timeoutMs: 60_000,
    everyMs: 50,
  });
}

/** Waits until several tasks run on this agent. */
export async function tasksRunOn({ workload }: Stage, agentId: string, count = 2): Promise<void> {
  await until(() => workload.running().filter((task) => task.agentId === agentId).length >= count, {
    what: `fewer than ${count} tasks run on ${agentId}`,
    timeoutMs: 60_000,
    everyMs: 50,
  });
}
