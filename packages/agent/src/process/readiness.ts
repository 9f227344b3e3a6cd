import type { Probe } from "@sluice/runtime";
import type { AgentHost } from "../host.ts";

/** Half of what fences the agent: whoever looks hears of it before everything is killed. */
const heartbeatAgeMaxMs = 10_000;

/**
 * Whether a task could be given to the agent: it is registered and proves that it lives, and, once there has been a
 * scheduler in the cluster, one is attached.
 */
export function readinessOf(host: AgentHost): Record<string, Probe> {
  return {
    registered: () => ({ ok: host.agent?.isReady === true, incarnation: host.agent?.incarnation }),
    heartbeat() {
      const ageMs = host.agent?.heartbeatAgeMs;
      return { ok: ageMs !== undefined && ageMs < heartbeatAgeMaxMs, ageMs: ageMs && Math.round(ageMs) };
    },
    schedulers() {
      const attached = host.agent?.streamCount ?? 0;
      return { ok: attached > 0 || host.agent?.knowsSchedulers !== true, attached };
    },
  };
}
