// Six scenarios on real processes, in one cluster under one load: kill -9 of a scheduler, of an agent and of nats-server, a
// scheduler that wakes up after its lease, etcd wiped, PostgreSQL restarted.
import { setMaxListeners } from "node:events";
import { join } from "node:path";
import { seededRandom } from "@sluice/core/testing";
import { expect, test } from "vitest";
import { keepIn } from "./evidence/keep.ts";
import { describeResult } from "./report/index.ts";
import { runScenarios } from "./run.ts";
import { realHarness } from "./run-real.ts";
import { inSequence, scenarios } from "./scenarios/index.ts";
import { brisk } from "./scenarios/workloads.ts";

setMaxListeners(0);

const folder = join(import.meta.dirname, "../.sluice/chaos");

test("after six faults one after the other nothing is lost, nothing ran twice, and everything has finished", {
  timeout: 600_000,
  retry: 0,
}, async () => {
  const fast = scenarios.filter(({ isFast }) => isFast);
  const said: string[] = [];
  const [result] = await runScenarios(
    { ...realHarness, keep: keepIn(folder) },
    {
      scenarios: [{ ...inSequence("fast", fast), workload: brisk }],
      seed: 1,
      repeat: 1,
      profile: "fast",
      random: seededRandom(1),
      conditions: {},
      signal: new AbortController().signal,
      on: {
        begun: () => undefined,
        said: (line, ms) => said.push(`${(ms / 1_000).toFixed(1)} s  ${line}`),
        ended: () => undefined,
      },
    },
  );
  if (!result) throw new Error("there is no result");
  const kept = `logs and evidence are in ${join(folder, result.scenario)}`;
  expect(result.violations, [describeResult(result), ...said, kept].join("\n")).toEqual([]);
  expect(result.passed).toBe(true);
  expect(result.figures.accepted).toBeGreaterThan(500);
  const { running, adopted } = result.figures.resumed;
  expect(running).toBeGreaterThan(0);
  expect(adopted / running).toBeGreaterThanOrEqual(0.99);
});
