// Settings of the simulated services: those of production, but for fewer idle looks, which cost real time and find nothing.
import { type AgentConfig, defaultAgentConfig } from "@sluice/agent";
import { type ApiServerConfig, defaultApiServerConfig } from "@sluice/api-server";
import type { LeaseProfile } from "@sluice/coordination";
import { defaultSchedulerConfig, type SchedulerConfig } from "@sluice/scheduler";

export function schedulerConfig(schedulerId: string, lease: LeaseProfile): SchedulerConfig {
  return {
    ...defaultSchedulerConfig,
    schedulerId,
    lease,
    marksEveryMs: 2_500,
    unparkEveryMs: 2_500,
    renewEveryMs: 3_000,
    purgeEveryMs: 3_600_000,
  };
}

export function apiServerConfig(joinToken: string): ApiServerConfig {
  return { ...defaultApiServerConfig, auth: "keys", joinTokens: [joinToken] };
}

export function agentConfig(own: Pick<AgentConfig, "agentId" | "address" | "joinToken">): AgentConfig {
  return { ...defaultAgentConfig, ...own, slots: 8, drainMs: 4_000 };
}
