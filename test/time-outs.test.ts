// The inequalities of docs/operations.md, between constants of services that run on different hosts.
import { defaultAgentConfig, defaultLimits } from "@sluice/agent";
import { defaultApiServerConfig } from "@sluice/api-server";
import { defaultLeaseProfile, fastLeaseProfile } from "@sluice/coordination";
import { ackWaitDefaultMs } from "@sluice/queue";
import { defaultSchedulerConfig } from "@sluice/scheduler";
import { describe, expect, test } from "vitest";

const drift = 0.02;
const { fenceAfterMs, killWithinMs, heartbeatEveryMs, heartbeatTimeoutMs } = defaultAgentConfig;
/** etcd looks for expired leases; then listing, claim and inventories. */
const failoverBesidesLeaseMs = 3_000;

describe.each([
  ["default", defaultLeaseProfile],
  ["fast", fastLeaseProfile],
])("lease profile %s", (_name, { ttlMs, renewEveryMs, renewDeadlineMs, marginMs }) => {
  const trustedMs = ttlMs * (1 - drift) - marginMs;

  test("a renewal that was not answered leaves time for another one", () => {
    expect(renewEveryMs + renewDeadlineMs + renewEveryMs / 4).toBeLessThan(trustedMs);
  });

  test("an agent outlives the failover of a scheduler", () => {
    expect(fenceAfterMs).toBeGreaterThan(ttlMs + failoverBesidesLeaseMs + heartbeatEveryMs);
  });
});

test("what an agent ran is gone before others may call it dead", () => {
  const { deadAfterMs } = defaultSchedulerConfig;
  expect(defaultLimits.graceMs).toBeLessThan(killWithinMs);
  // Its silence is counted from the commit of a renewal, which follows the sending of the heartbeat.
  expect(fenceAfterMs * (1 + drift) + defaultLimits.graceMs * (1 + drift)).toBeLessThan(deadAfterMs * (1 - drift));
  expect(fenceAfterMs + killWithinMs).toBeLessThanOrEqual(deadAfterMs);
});

test("a lost heartbeat leaves time for three others", () => {
  expect(4 * heartbeatEveryMs + heartbeatTimeoutMs).toBeLessThan(fenceAfterMs);
});

test("an agent's key in etcd does not vanish before the agent may be dead", () => {
  expect(defaultApiServerConfig.agentKeyTtlMs).toBeGreaterThanOrEqual(defaultSchedulerConfig.deadAfterMs);
});

test("an agent that only schedulers cannot reach is fenced before its own end", () => {
  expect(defaultSchedulerConfig.fenceAfterMs).toBeLessThan(fenceAfterMs);
});

test("blocks are renewed twice before JetStream delivers them again", () => {
  expect(defaultSchedulerConfig.renewEveryMs * 3).toBeLessThanOrEqual(ackWaitDefaultMs);
});
