// The names of queues. A pool of shared ones, and one for each flow that was given its own.
import { hashHex } from "../hash.ts";
import { type Flow, flowKey } from "../ids.ts";

/** Shared queues, `q0` to `q7`. */
export const sharedQueueCount = 8;

/** Every shared queue, by number. */
export function sharedQueues(queueCount: number = sharedQueueCount): readonly string[] {
  return Array.from({ length: queueCount }, (_, index) => `q${index}`);
}

/** The queue that a flow gets when it is given its own: `d` and 16 hexadecimal digits. The same whenever it is given one. */
export function dedicatedQueueOf(flow: Flow): string {
  return `d${hashHex(flowKey(flow))}`;
}

/** Whether a queue is one of those that flows are given as their own. */
export function isDedicatedQueue(queue: string): boolean {
  return /^d[0-9a-f]{16}$/.test(queue);
}
