import { AccountId, defaultSampleAndHoldConfig, FunctionName, otherFunctions } from "@sluice/core";
import { FakeClock, seededRandom } from "@sluice/core/testing";
import { type Arrivals, reportedFlowsMax } from "@sluice/queue";
import { expect, test } from "vitest";
import { createArrivalMeter, reportedAccountsMax, reportedFunctionsMax } from "./arrival-meter.ts";

test("an account is reported whole, into however many functions it divides what it submits", async () => {
  const world = startWorld();
  world.count("noisy", { functions: 2_000, each: 8 });
  for (let index = 0; index < 50; index++) world.count(`good-${index}`, { functions: 1, each: 5 });
  const report = await world.secondLater();
  expect(ratesOf(report)).toEqual({
    noisy: 16_000,
    ...Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`good-${index}`, 5])),
  });
  expect(report.flows).toHaveLength(reportedFunctionsMax + 1 + 50);
});

test("the largest functions of an account are named, and one line has what the others submit", async () => {
  const world = startWorld();
  world.count("noisy", { functions: 20, each: 10 });
  world.count("noisy", { functions: 1, each: 990 });
  world.count("good", { functions: 1, each: 5 });
  const { flows } = await world.secondLater();
  const lines = flows.map(({ accountId, functionName, perSecond }) => [accountId, functionName, perSecond]);
  const small = Array.from({ length: reportedFunctionsMax - 1 }, (_, index) => ["noisy", `f${index + 1}`, 10]);
  expect(lines).toEqual([
    ["noisy", "f0", 1_000],
    ...small,
    ["noisy", otherFunctions, 200 - 10 * reportedFunctionsMax],
    ["good", "f0", 5],
  ]);
  expect(flows.map(({ waiting }) => waiting)).toEqual(flows.map(() => 7));
});

test("functions take no line from an account", async () => {
  const world = startWorld();
  for (let index = 0; index < 200; index++) world.count(`account-${index}`, { functions: 10, each: 200 - index });
  const report = await world.secondLater();
  expect(report.flows.length).toBeLessThanOrEqual(reportedFlowsMax);
  expect(Object.entries(ratesOf(report))).toEqual(
    Array.from({ length: reportedAccountsMax }, (_, index) => [`account-${index}`, 10 * (200 - index)]),
  );
});

test("a million functions take no more memory than others, and hide nobody", async () => {
  const world = startWorld();
  for (let second = 0; second < 3; second++) {
    world.count("noisy", { functions: 300_000, each: 1, from: 300_000 * second });
    world.count("good", { functions: 1, each: 3_500 });
    expect(world.meter.size).toBeLessThanOrEqual(defaultSampleAndHoldConfig.entriesMax);
    const { noisy, good } = ratesOf(await world.secondLater());
    expect(good).toBe(3_500);
    expect(noisy).toBeCloseTo(300_000);
  }
});

/** Submissions per second by account. */
function ratesOf({ flows }: Arrivals): Record<string, number> {
  const rates: Record<string, number> = {};
  for (const { accountId, perSecond } of flows) rates[accountId] = (rates[accountId] ?? 0) + perSecond;
  return rates;
}

function startWorld() {
  const clock = new FakeClock();
  const meter = createArrivalMeter({ clock, random: seededRandom(1), serverId: "s1", waitingOf: () => 7 });
  return {
    meter,
    count(account: string, { functions, each, from = 0 }: Load) {
      for (let index = from; index < from + functions; index++) {
        const flow = { accountId: AccountId(account), functionName: FunctionName(`f${index}`) };
        meter.count({ ...flow, queue: "q0" }, each);
      }
    },
    async secondLater(): Promise<Arrivals> {
      await clock.advance(1_000);
      const report = meter.report();
      expect(report).toBeDefined();
      return report as Arrivals;
    },
  };
}
interface Load {
  readonly functions: number;
  /** Submissions of each of them. */
  readonly each: number;
  /** Number of the first. */
  readonly from?: number;
}
