// What an owner remembers in order to stop some attempts for others; `preempt.ts` says how.
import type { Priority, Seq } from "@sluice/core";
import type { ActiveTask, Waiting } from "./memory.ts";

export interface Preempting {
  /** High or urgent, in order; also some that are not any more. Written by `context` and here. */
  readonly urgent: Set<Waiting>;
  /** Slots that will be free, and for whom. */
  claims: readonly Claim[];
  /** Those that were told to stop. */
  readonly victims: WeakSet<ActiveTask>;
}

export interface Claim {
  readonly waiting: Waiting;
  readonly seq: Seq;
  readonly victim: ActiveTask;
  /** Monotonic; then the slot is anybody's, and its attempt may be stopped again. */
  readonly until: number;
}

/** The highest number of a priority that others are stopped for: high. */
export const urgentPriority: Priority = 1;

export function createPreempting(): Preempting {
  return { urgent: new Set(), claims: [], victims: new WeakSet() };
}
