import { FakeClock } from "@sluice/core/testing";
import { expect, test } from "vitest";
import { createBusyMeter } from "./busy-meter.ts";

test("the share of the time at work is followed within seconds, and a burst of one measurement is not believed", async () => {
  const clock = new FakeClock();
  let worked = 500;
  const meter = createBusyMeter(clock, () => worked);
  expect(meter.measure()).toBeUndefined();
  const twoSeconds = async (share: number) => {
    await clock.advance(2_000);
    worked += 2_000 * share;
    return meter.measure() ?? Number.NaN;
  };
  expect(await twoSeconds(0.5)).toBeCloseTo(0.5);
  expect(await twoSeconds(1)).toBeLessThan(0.7);
  for (let times = 0; times < 10; times++) await twoSeconds(0.9);
  expect(await twoSeconds(0.9)).toBeCloseTo(0.9, 1);
});

test("a clock that stood still while the thread worked makes no more than a whole", async () => {
  const clock = new FakeClock();
  let worked = 0;
  const meter = createBusyMeter(clock, () => worked);
  await clock.advance(1_000);
  worked = 9_000;
  expect(meter.measure()).toBe(1);
});
