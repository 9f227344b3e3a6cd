import { expect, test } from "vitest";
import { createPace } from "./pace.ts";

test("short attempts are sent ahead, long ones are not", () => {
  const pace = createPace();
  expect(pace.aheadFactor(1)).toBe(2);
  pace.ran(1, 0);
  expect(pace.aheadFactor(1)).toBe(8);
  pace.ran(2, 50);
  expect(pace.aheadFactor(2)).toBe(2);
  pace.ran(3, 3_600_000);
  expect(pace.aheadFactor(3)).toBeCloseTo(1, 4);
});

test("a function that becomes slow is sent less, soon", () => {
  const pace = createPace();
  for (let n = 0; n < 1_000; n++) pace.ran(1, 1);
  for (let n = 0; n < 10; n++) pace.ran(1, 10_000);
  expect(pace.aheadFactor(1)).toBeLessThan(1.1);
});

test("what is remembered is bounded", () => {
  const pace = createPace();
  for (let revision = 0; revision <= 10_000; revision++) pace.ran(revision, 1);
  expect(pace.aheadFactor(0)).toBe(2);
  expect(pace.aheadFactor(10_000)).toBe(8);
});
