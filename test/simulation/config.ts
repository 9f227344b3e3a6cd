// Settings of the simulated services: those of production, but for fewer idle looks, which cost real time and find nothing.
import { type AgentConfig, defaultAgentConfig } from "@sluice/agent";
import { type ApiServerConfig, defaultApiServerConfig } from "@sluice/api-server";
import type { LeaseProfile } from "@sluice/coordination";
import { defaultSolveConfig } from "@sluice/load-balancer";
import { defaultSchedulerConfig, type SchedulerConfig, type SchedulerDeps } from "@sluice/scheduler";

/** May look after the cluster; submits nothing. */
export const operatorAccount = "operator";

/** Of one of the schedulers: a few dozen blocks, and its largest flow is parked. */
const fewBlocks = 120_000;

export function schedulerConfig(schedulerId: string, lease: LeaseProfile): SchedulerConfig {
  return {
    ...defaultSchedulerConfig,
    schedulerId,
    lease,
    marksEveryMs: 2_500,
    unparkEveryMs: 2_500,
    renewEveryMs: 3_000,
    purgeEveryMs: 3_600_000,
    ...(schedulerId.startsWith("s1") && { lookAheadBytesMax: fewBlocks }),
  };
}

/**
 * Splits at the slightest backlog, and merges soon; gives queues of their own, and takes them back, as fast: in half a minute a
 * cautious one would do nothing.
 */
export const eagerBalancer: NonNullable<SchedulerDeps["balancer"]> = {
  backlogAgeMaxMs: 300,
  waitingMin: 1,
  hotForMs: 500,
  quietForMs: 3_000,
  restMs: 2_000,
  ownerLoadForMs: 2_500,
  hotWaitingMin: 30,
  hotRouteForMs: 2_000,
  idleMs: 10_000,
  foldMs: 40_000,
};

/** The same, and calls a queue full of which others would take no notice: shares of what is submitted are refused. */
export const sparingBalancer: NonNullable<SchedulerDeps["balancer"]> = {
  ...eagerBalancer,
  throttle: { ...defaultSolveConfig, drainTargetMs: 500, backlogMin: 15, aloneBacklogMin: 40, tauMs: 2_000 },
};

/** `isSparing`: accounts go to their other queue for a few tasks, and a queue takes no more when a few dozen wait. */
export function apiServerConfig(joinToken: string, { isSparing }: { readonly isSparing: boolean }): ApiServerConfig {
  return {
    ...{ ...defaultApiServerConfig, auth: "keys", operatorAccounts: [operatorAccount], joinTokens: [joinToken] },
    ...(isSparing && { queueBacklogMax: 60, shorterQueue: { share: 0.5, fewer: 5 } }),
  };
}

export function agentConfig(own: Pick<AgentConfig, "agentId" | "address" | "joinToken" | "slots">): AgentConfig {
  // Caches that hold everything that a run has, but are not made for 100,000 entries at every stream and every restart.
  return { ...defaultAgentConfig, ...own, drainMs: 4_000, confirmedMax: 5_000, streamFunctionsMax: 100 };
}
