import fc from "fast-check";
import { expect, test } from "vitest";
import {
  admissibleRate,
  backlogReference,
  decayedDrop,
  defaultThrottleConfig,
  isThrottled,
  type QueuePressure,
  retryDelayMs,
  spreadDelayMs,
} from "./throttle.ts";

const config = { ...defaultThrottleConfig, backlogMin: 1_000 };
const pressure = (backlog: number, drainPerSecond = 500): QueuePressure => ({ backlog, drainPerSecond });

test("the reference is what drains in ten seconds, and never less than what a queue is for", () => {
  expect(backlogReference(pressure(0, 500), config)).toBe(5_000);
  expect(backlogReference(pressure(0, 1), config)).toBe(1_000);
});

test("a queue is throttled over the reference, and opens only below half of it", () => {
  let isOn = false;
  const states = [4_999, 5_001, 4_000, 2_501, 2_499, 4_000].map((backlog) => {
    isOn = isThrottled(isOn, pressure(backlog), config);
    return isOn;
  });
  expect(states).toEqual([false, true, true, true, false, false]);
});

test("as much is admitted as leaves, less what is worked off in ten seconds", () => {
  expect(admissibleRate(pressure(5_000), config)).toBe(500);
  expect(admissibleRate(pressure(8_000), config)).toBe(200);
  expect(admissibleRate(pressure(3_000), config)).toBe(700);
});

test("something is always admitted while something leaves, and never a negative number", () => {
  expect(admissibleRate(pressure(1_000_000), config)).toBe(50);
  fc.assert(
    fc.property(fc.nat(), fc.nat(10_000), (backlog, drain) => {
      expect(admissibleRate(pressure(backlog, drain), config)).toBeGreaterThanOrEqual(0.1 * drain);
    }),
    { seed: 1 },
  );
});

test("the backlog comes to rest at the reference while more is sent than leaves", () => {
  let backlog = 50_000;
  for (let second = 0; second < 240; second++) backlog += admissibleRate(pressure(backlog), config) - 500;
  expect(backlog).toBeGreaterThan(4_900);
  expect(backlog).toBeLessThan(5_100);
});

test("the delay is the time until the queue opens, within a second and a minute", () => {
  expect(retryDelayMs(pressure(5_000), config)).toBe(5_000);
  expect(retryDelayMs(pressure(0), config)).toBe(1_000);
  expect(retryDelayMs(pressure(1_000_000), config)).toBe(60_000);
  expect(retryDelayMs(pressure(5_000, 0), config)).toBe(60_000);
  expect([0, 0.5, 1].map((dice) => spreadDelayMs(10_000, dice))).toEqual([8_000, 10_000, 12_000]);
});

test("drops hold while their document is valid, then half of them goes each second", () => {
  expect([-1, 0, 1_000, 3_000].map((overdueMs) => decayedDrop(0.8, overdueMs))).toEqual([0.8, 0.8, 0.4, 0.1]);
});
