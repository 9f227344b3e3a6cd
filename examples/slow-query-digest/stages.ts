import type { Task } from "@sluice/client";

export interface StageLatency {
  readonly stage: "queued" | "dispatched" | "running" | "in all";
  /** Milliseconds. */
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

/**
 * How long tasks spent in each stage, from their timelines: *queued* until an owner took them from the queue, *dispatched*
 * until the handler was called (which includes the start of an instance), *running* until it returned.
 */
export function stageLatencies(tasks: readonly Task[]): StageLatency[] {
  const stages = tasks.flatMap((task) => {
    const at = (status: string) => task.events.findLast((event) => event.status === status)?.timeMs;
    const [dequeued, started, ended] = [at("Dequeued"), at("Running"), task.endedAtMs];
    if (dequeued === undefined || started === undefined || ended === undefined) return [];
    const { enqueuedAtMs: enqueued } = task;
    return [
      {
        queued: dequeued - enqueued,
        dispatched: started - dequeued,
        running: ended - started,
        "in all": ended - enqueued,
      },
    ];
  });
  return (["queued", "dispatched", "running", "in all"] as const).map((stage) => {
    const sorted = stages.map((one) => one[stage]).sort((a, b) => a - b);
    return { stage, p50: percentile(sorted, 50), p95: percentile(sorted, 95), p99: percentile(sorted, 99) };
  });
}

/** Nearest rank; 0 of nothing. */
function percentile(sorted: readonly number[], percent: number): number {
  return sorted[Math.max(0, Math.ceil((sorted.length * percent) / 100) - 1)] ?? 0;
}
