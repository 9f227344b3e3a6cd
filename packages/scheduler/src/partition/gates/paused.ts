import type { BatchControl } from "../../batch-control.ts";
import type { Gate } from "../gates.ts";

/**
 * A flow that is paused, by itself or with its account or queue, has no room: nothing of it is read or sent. Neither has any
 * other one while it is not known what is paused.
 */
export function pausedGate(control: BatchControl, queue: string): Gate {
  return {
    room: ({ origin }) => (control.isUsable() && !control.holds(origin, queue) ? Number.POSITIVE_INFINITY : 0),
    // The rows were read meanwhile, and something may have been paused.
    admits: ({ origin }) => control.isUsable() && !control.holds(origin, queue),
  };
}
