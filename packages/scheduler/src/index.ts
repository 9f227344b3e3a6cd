export type { AgentApi } from "./agents/link.ts";
export { blocksOf } from "./announce.ts";
export { defaultSchedulerConfig, type SchedulerConfig } from "./config.ts";
export { schedulerMetrics } from "./metrics.ts";
export { createScheduler, type Scheduler, type SchedulerDeps } from "./scheduler.ts";
