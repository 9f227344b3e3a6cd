import { expect, test } from "vitest";
import { systemRandom } from "./random.ts";

test("numbers lie in [0, 1) and spread", () => {
  const numbers = Array.from({ length: 10_000 }, () => systemRandom.next());
  expect(numbers.every((value) => value >= 0 && value < 1)).toBe(true);
  const mean = numbers.reduce((sum, value) => sum + value, 0) / numbers.length;
  expect(mean).toBeGreaterThan(0.48);
  expect(mean).toBeLessThan(0.52);
});

test("identifiers have two digits per byte and differ", () => {
  expect(systemRandom.hex(16)).toMatch(/^[0-9a-f]{32}$/);
  expect(systemRandom.fork("a").hex(16)).not.toBe(systemRandom.fork("a").hex(16));
});
