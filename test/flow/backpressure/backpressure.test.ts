// No tenant hurts another: whoever submits no more than a fair share is neither refused nor late. Measured on the policies as they run
// in production.
import { defaultSolveConfig } from "@sluice/load-balancer";
import { beforeAll, expect, test } from "vitest";
import { type BackpressureRun, compareBackpressure, simulateBackpressure } from "./simulate.ts";

let runs: Readonly<Record<"calm" | "fair" | "uniform" | "fifo", BackpressureRun>>;
beforeAll(async () => {
  runs = await compareBackpressure({ seed: 1 });
  // Eight minutes of traffic, which a busy machine takes its time for.
}, 900_000);

test("of fifty-two accounts the fifty well-behaved lose at most a thousandth of what they submit, each of them", () => {
  const { fair } = runs;
  expect(fair.refused["well-behaved"] / fair.sent["well-behaved"]).toBeLessThanOrEqual(0.001);
  expect(fair.worstLoss).toBeLessThanOrEqual(0.001);
});

test("their 99th percentile of the queueing delay stays within twice that of the calm run", () => {
  expect(runs.calm.delayP99Ms).toBeGreaterThan(0);
  expect(runs.fair.delayP99Ms).toBeLessThanOrEqual(2 * runs.calm.delayP99Ms);
});

test("the two noisy ones are cut to their fair shares, and what can be dispatched is dispatched", () => {
  const late = runs.fair.samples.slice(70, 100);
  const mean = (of: (sample: (typeof late)[number]) => number) =>
    late.reduce((sum, it) => sum + of(it), 0) / late.length;
  expect(mean(({ sent, refused }) => sent.A - refused.A)).toBeGreaterThan(1_300);
  expect(mean(({ sent, refused }) => sent.A - refused.A)).toBeLessThan(1_700);
  expect(mean(({ sent, refused }) => sent.B - refused.B)).toBeGreaterThan(1_300);
  expect(mean(({ dispatched }) => dispatched.A + dispatched.B + dispatched["well-behaved"])).toBeGreaterThan(4_950);
});

test("the backlog stays near its reference, and nobody is refused once the bursts are over", () => {
  expect(runs.fair.backlogMax).toBeLessThan(80_000);
  const last = runs.fair.samples.slice(90, 100).map(({ backlog }) => backlog);
  expect(Math.max(...last)).toBeLessThan(15_000);
  expect(
    runs.fair.samples.slice(110).every(({ refused }) => refused.A + refused.B + refused["well-behaved"] === 0),
  ).toBe(true);
});

test("without any of it they are hurt: refused alike, or late", () => {
  expect(runs.uniform.refused["well-behaved"] / runs.uniform.sent["well-behaved"]).toBeGreaterThan(0.3);
  expect(runs.fifo.delayP99Ms).toBeGreaterThan(100 * runs.calm.delayP99Ms);
});

test("with the default reference of 100,000 tasks, and another seed, they are neither refused nor late either", async () => {
  const options = { seed: 2, config: defaultSolveConfig, seconds: 60 };
  const calm = await simulateBackpressure({ ...options, isNoisy: false });
  const fair = await simulateBackpressure(options);
  expect(fair.worstLoss).toBeLessThanOrEqual(0.001);
  expect(fair.delayP99Ms).toBeLessThanOrEqual(2 * calm.delayP99Ms);
  expect(calm.delayP99Ms).toBeGreaterThan(0);
  expect(fair.refused.A).toBeGreaterThan(0);
});
