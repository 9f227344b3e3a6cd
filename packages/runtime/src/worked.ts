import { performance } from "node:perf_hooks";

/** For how long the event loop of this thread has been at work instead of waiting, in ms; only grows. */
export function workedMs(): number {
  return performance.eventLoopUtilization().active;
}
