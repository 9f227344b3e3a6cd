// Counters of what only shows when everything is known.

import type { FullHistory } from "@sluice/checkers";
import { insertsOf } from "@sluice/checkers";
import { covers, isDedicatedQueue } from "@sluice/core";
import type { Counter } from "prom-client";
import type { CounterName } from "./counters.ts";
import type { World } from "./world.ts";

/** Metrics of the services that prove that a branch was reached. */
const metrics: Readonly<Record<string, CounterName>> = {
  sluice_scheduler_takeovers_total: "take-over",
  sluice_scheduler_adopted_attempts_total: "adopted",
  sluice_scheduler_held_tasks_total: "held",
  sluice_load_balancer_reshaped_partitions_total: "split or merged by the rule",
  sluice_scheduler_paused_tasks_total: "parked by a pause",
  sluice_scheduler_preempted_attempts_total: "preempted",
  sluice_scheduler_slowed_flows_total: "slowed down by refusals",
  sluice_api_server_routed_aside_tasks_total: "sent to the other queue of its account",
  sluice_agent_dispatches_repeated_total: "repeated dispatch answered",
};

/** Those of which a label says what happened. */
const labelled: readonly { name: string; label: string; counterOf(value: string): CounterName | undefined }[] = [
  {
    name: "sluice_load_balancer_events_total",
    label: "reason",
    counterOf: (reason) => (reason === "load" ? "busy owner relieved" : undefined),
  },
  {
    name: "sluice_scheduler_shard_changes_total",
    label: "kind",
    counterOf: (kind) => (kind === "grown" ? "shard grown" : undefined),
  },
  {
    name: "sluice_api_server_throttled_submissions_total",
    label: "scope",
    counterOf: (scope) => (scope === "queue" ? "queue full" : "share of submissions refused"),
  },
];

export async function countSometimes(world: World, history: FullHistory): Promise<void> {
  for (const registry of world.registries) {
    for (const [name, counter] of Object.entries(metrics)) {
      const metric = registry.getSingleMetric(name) as Counter | undefined;
      if (!metric) continue;
      for (const { value } of (await metric.get()).values) world.counters.add(counter, value);
    }
    for (const { name, label, counterOf } of labelled) {
      const metric = registry.getSingleMetric(name) as Counter | undefined;
      for (const { labels, value } of (await metric?.get())?.values ?? []) {
        const counter = counterOf(String(labels[label]));
        if (counter) world.counters.add(counter, value);
      }
    }
  }
  const inserts = insertsOf(history.store);
  for (const event of history.store) {
    if (event.kind === "raised" && runsIn(event, history, inserts)) world.counters.add("take-over while running");
    if (event.kind !== "written" || !event.applied || event.write.kind === "running") continue;
    const moved = event.write.kind === "park" && event.write.moveTo !== undefined ? event.write : undefined;
    if (moved?.reason === "throttle") world.counters.add("moved to its home");
    if (moved?.reason === "overflow") {
      const isOwn = isDedicatedQueue(moved.moveTo?.queue ?? "");
      world.counters.add(isOwn ? "row moved to a queue of its flow" : "row moved back to a shared queue");
    }
    if (event.write.error?.type === "AgentLost") world.counters.add("lost with agent");
    if (event.write.error?.type === "FunctionTimeout") world.counters.add("timed out");
  }
}

function runsIn(
  { at, owner }: { at: number; owner: { queue: string; prefix: string } },
  { executions }: FullHistory,
  inserts: ReturnType<typeof insertsOf>,
): boolean {
  return executions.some(({ seq, startedAt, endedAt }) => {
    const row = inserts.get(seq);
    const isRunning = startedAt <= at && (endedAt === undefined || endedAt > at);
    return isRunning && row !== undefined && row.queue === owner.queue && covers(owner.prefix, row.lane);
  });
}
