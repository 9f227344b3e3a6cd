import type { EpochMs } from "../clock.ts";
import type { Priority } from "../task/task.ts";

/** How long a task of each priority lets later ones pass: urgent 0 s, high 10 s, normal 60 s, low 600 s. */
export const patienceMs: Readonly<Record<Priority, number>> = { 0: 0, 1: 10_000, 2: 60_000, 3: 600_000 };

/**
 * Rank inside a flow, smallest first. A task is passed only by tasks that were enqueued less than its patience after it, so
 * low priority is delayed, never starved: 600 s after it was enqueued nothing that comes can pass it any more, and what could
 * has been enqueued. The rest is up to the fair order between flows (`FairOrder` states its bound).
 */
export function urgency(task: { readonly enqueuedAt: EpochMs; readonly priority: Priority }): number {
  return task.enqueuedAt + patienceMs[task.priority];
}
