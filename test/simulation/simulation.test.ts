// Two hundred seeds; and that a seed means the same run in every process.
import { setMaxListeners } from "node:events";
import { afterAll, beforeAll, expect, test } from "vitest";
import { counterNames, createCounters, reachedElsewhere } from "./counters.ts";
import { describeOutcome } from "./report.ts";
import { runSeeds } from "./seeds.ts";
import { type Outcome, openStoreOfRuns, type SimulateOptions, type StoreOfRuns, simulate } from "./simulate.ts";

const seedCount = 200;
const replayedSeed = 7;
let store: StoreOfRuns;

beforeAll(async () => {
  setMaxListeners(0);
  store = await openStoreOfRuns();
});
afterAll(async () => {
  await store[Symbol.asyncDispose]();
});

test(`${seedCount} seeds break no invariant, and a seed is the same run in every process`, {
  timeout: 2_400_000,
  retry: 0,
}, async () => {
  const sums = createCounters();
  const failures: string[] = [];
  const hashes = new Map<number, string>();
  const onOutcome = (outcome: Outcome, options: SimulateOptions, ms: number) => {
    sums.addAll(outcome.counters);
    hashes.set(outcome.seed, outcome.traceHash);
    if (outcome.violations.length === 0) return;
    const report = { isVerbose: true, about: undefined, traceLines: 0 };
    failures.push(describeOutcome(outcome, options, report, ms).join("\n"));
  };
  const runs = Array.from({ length: seedCount }, (_, index) => ({ seed: index + 1 }));
  await runSeeds({ runs, processes: 2, onOutcome });
  const here = await simulate(store, { seed: replayedSeed });
  expect(failures.join("\n\n")).toBe("");
  expect(hashes.get(replayedSeed)).toBe(here.traceHash);
  expect(new Set(hashes.values()).size).toBe(seedCount);
  const never = counterNames.filter((name) => sums.values[name] === 0 && !(name in reachedElsewhere));
  expect(never).toEqual([]);
});

test("a seed is the same run whatever was run before it", { timeout: 300_000, retry: 0 }, async () => {
  const first = await simulate(store, { seed: replayedSeed, minutes: 0.2 });
  await simulate(store, { seed: 8, minutes: 0.1 });
  const second = await simulate(store, { seed: replayedSeed, minutes: 0.2 });
  expect(second.traceHash).toBe(first.traceHash);
});
