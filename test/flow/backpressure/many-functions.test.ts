// An account is refused for what it submits in all, into however many functions it divides that. Measured on the policies as they
// run in production.
import { expect, test } from "vitest";
import { type BackpressureRun, type Group, simulateBackpressure } from "./simulate.ts";

const seconds = 40;
const functionsOfA = 2_000;
const lossOf = ({ refused, sent }: BackpressureRun, group: Group) => refused[group] / sent[group];

test("fifty accounts lose nothing to one that submits three times what can be dispatched, divided among 2,000 functions", async () => {
  const rates = { "well-behaved": () => 5, A: () => 16_000, B: () => 0 };
  const run = await simulateBackpressure({ seed: 3, seconds, rates, functionsOfA });
  expect(run.worstLoss).toBeLessThanOrEqual(0.001);
  const late = run.samples.slice(-20);
  const admitted = late.reduce((sum, { sent, refused }) => sum + sent.A - refused.A, 0) / late.length;
  // 5,000/s can be dispatched, of which the fifty take 250; a backlog beyond the reference is worked off.
  expect(admitted).toBeGreaterThan(4_000);
  expect(admitted).toBeLessThan(5_000);
  expect(run.backlogMax).toBeLessThan(60_000);
}, 300_000);

test("2,000 functions get an account as much as one does: no more than another that is over its share, too", async () => {
  const rates = { "well-behaved": () => 0, A: () => 4_000, B: () => 500 };
  const options = { seed: 4, seconds, rates, capacityPerSecond: 500, config: { backlogMin: 4_000 } };
  const one = await simulateBackpressure(options);
  const many = await simulateBackpressure({ ...options, functionsOfA });
  for (const group of ["A", "B"] as const) {
    expect(Math.abs(lossOf(many, group) - lossOf(one, group))).toBeLessThan(0.03);
  }
  expect(lossOf(many, "A")).toBeGreaterThan(0.85);
  expect(lossOf(many, "B")).toBeLessThan(0.6);
}, 300_000);
