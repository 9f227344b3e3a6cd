import { expect, test } from "vitest";
import { seededRandom } from "./seeded-random.ts";

const draw = (random: { next(): number }, count: number) => Array.from({ length: count }, () => random.next());

test("the same seed gives the same numbers, another seed others", () => {
  expect(draw(seededRandom(7), 20)).toEqual(draw(seededRandom(7), 20));
  expect(draw(seededRandom(7), 20)).not.toEqual(draw(seededRandom(8), 20));
});

test("a fork depends on its name alone, not on what was drawn before or forked beside it", () => {
  const untouched = seededRandom(7).fork("agent");
  const random = seededRandom(7);
  draw(random, 5);
  random.fork("scheduler");
  expect(draw(random.fork("agent"), 5)).toEqual(draw(untouched, 5));
  expect(draw(random.fork("agent"), 5)).not.toEqual(draw(random.fork("scheduler"), 5));
});

test("the numbers are uniform in [0, 1)", () => {
  const random = seededRandom(1);
  const tenths = new Array<number>(10).fill(0);
  const values = draw(random, 100_000);
  expect(values.every((value) => value >= 0 && value < 1)).toBe(true);
  for (const value of values) {
    const tenth = Math.floor(value * 10);
    tenths[tenth] = (tenths[tenth] ?? 0) + 1;
  }
  expect(Math.min(...tenths)).toBeGreaterThan(9_600);
  expect(Math.max(...tenths)).toBeLessThan(10_400);
});

test("hexadecimal texts have two digits per byte", () => {
  const random = seededRandom(1);
  expect([0, 1, 3, 16].map((bytes) => random.hex(bytes).length)).toEqual([0, 2, 6, 32]);
  expect(random.hex(16)).toMatch(/^[0-9a-f]{32}$/);
});
