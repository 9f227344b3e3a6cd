// The whole harness once, small: real processes, clients and handlers, a scheduler that is killed, and the verdict.
import { setTimeout as sleep } from "node:timers/promises";
import { eventually } from "@sluice/core/testing";
import { expect, test } from "vitest";
import { openArena } from "../arena/index.ts";
import type { FaultMark } from "../contract.ts";
import { judge, toTimeline } from "../evidence/index.ts";
import { agentEnvironment, startWorkload } from "./index.ts";

test("what clients and handlers saw of a scheduler's death is judged", { timeout: 300_000 }, async () => {
  await using arena = await openArena({
    apiServers: 1,
    schedulers: 2,
    agents: 2,
    fsync: false,
    leaseProfile: "fast",
    environment: { agent: agentEnvironment },
  });
  await using workload = await startWorkload(arena, { seed: 3, rate: 30, longMs: [6_000, 8_000] });
  await Promise.all([workload.accepted(150), workload.started(150)]);
  const partitions = await eventually(
    async () => {
      const owned = (await arena.partitions()).get("scheduler-0") ?? [];
      return owned.length > 1 && owned;
    },
    { timeoutMs: 60_000 },
  );
  await eventually(() => workload.running().length >= 12, { timeoutMs: 60_000 });
  const mark: FaultMark = { kind: "crash", where: "scheduler-0", from: workload.now(), until: undefined, partitions };
  await arena.part("scheduler-0").crash();
  await workload.started(200);
  await sleep(2_000);
  await arena.heal();
  mark.until = workload.now();
  const evidence = await workload.finish(120_000);

  const { violations, checked, figures } = judge(evidence, [mark]);
  expect(violations).toEqual([]);
  expect(checked).toEqual(
    expect.arrayContaining(["I1", "I2", "I3", "I4", "I9", "I10", "I11", "I13", "I14", "executed-twice"]),
  );
  // Nothing of it was left over, but it was looked at.
  const kinds = new Set(evidence.history.rest?.found.map(({ kind }) => kind));
  expect([...kinds].sort()).toEqual(["agent", "claim", "consumer", "leader", "load", "member"]);
  const limited = evidence.submissions.filter(({ kind }) => kind === "limited");
  expect(limited.length).toBeGreaterThan(3);
  expect(figures.accepted).toBe(evidence.submissions.length);
  expect(figures).toMatchObject({ rejected: 0, unknown: 0, skipped: 0, lost: 0, executedTwice: 0, overlaps: 0 });
  expect(figures.failoverMs["crash"]?.count).toBe(partitions.length);
  expect(figures.failoverMs["crash"]?.max).toBeGreaterThan(500);
  expect(figures.resumed.running).toBeGreaterThan(0);
  expect(figures.resumed.adopted).toBe(figures.resumed.running);
  expect(evidence.counters["sluice_scheduler_takeovers_total"]).toBeGreaterThan(0);
  const timeline = toTimeline(evidence);
  expect(timeline.reduce((sum, { accepted }) => sum + accepted, 0)).toBe(figures.accepted);
});
