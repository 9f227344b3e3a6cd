import { hash32 } from "../hash.ts";
import { type Flow, flowKey } from "../ids.ts";

/** Shared queues, `q0` to `q7`. */
export const sharedQueueCount = 8;

/** The queue of a flow that has no route of its own. Every process must agree, so it depends on nothing but its arguments. */
export function queueOf(flow: Flow, queueCount: number = sharedQueueCount): string {
  return `q${hash32(flowKey(flow)) % queueCount}`;
}

/** Every shared queue, by number. */
export function sharedQueues(queueCount: number = sharedQueueCount): readonly string[] {
  return Array.from({ length: queueCount }, (_, index) => `q${index}`);
}
