import { defaultSampleAndHoldConfig } from "@sluice/core";
import { expect, test } from "vitest";
import { placeAtScale } from "./placement.ts";
import { sampleZipf } from "./sampling.ts";
import { shareShards } from "./shards.ts";

test("10,000 partitions lie evenly on 1,000 schedulers, and hardly any moves that need not", {
  timeout: 900_000,
}, () => {
  const steps = placeAtScale({ schedulers: 1_000, partitions: 10_000, seed: 1 });
  for (const { highest, rounds, movedOfLiving, name } of steps) {
    expect(highest, name).toBeLessThan(1.12);
    expect(rounds, name).toBeLessThan(40);
    expect(movedOfLiving, name).toBeLessThan(800);
  }
  const [, death] = steps;
  // What one of a thousand had is placed anew, and nothing else is.
  expect(death?.moved).toBeLessThan(40);
});

test("of a million accounts few share both queues with a noisy one", { timeout: 900_000 }, () => {
  const eight = shareShards(1_000_000, 8);
  // 1 of the 28 pairs.
  expect(eight.both).toBeGreaterThan(0.03);
  expect(eight.worst).toBeLessThan(0.045);
  expect(eight.fullest).toBeLessThan(1.05);
});

test("a million accounts take no more than the table has, and who sends most is found", { timeout: 900_000 }, () => {
  const samples = sampleZipf({
    accounts: 1_000_000,
    submissionsPerInterval: 50_000,
    intervals: 10,
    skew: 1,
    seed: 1,
  });
  for (const { entries } of samples) expect(entries).toBeLessThanOrEqual(defaultSampleAndHoldConfig.entriesMax);
  const settled = samples.slice(3);
  const sum = (pick: (sample: (typeof samples)[number]) => number) =>
    settled.reduce((all, each) => all + pick(each), 0);
  expect(sum(({ large }) => large)).toBeGreaterThan(20);
  expect(sum(({ missed }) => missed)).toBe(0);
  expect(sum(({ error }) => error) / settled.length).toBeLessThan(0.1);
});
