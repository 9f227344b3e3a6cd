import fc from "fast-check";
import { expect, test } from "vitest";
import { minimise } from "./minimise.ts";

const numbers = Array.from({ length: 40 }, (_, index) => index);

/** Fails when all of these are there. */
function needs(culprits: readonly number[]) {
  let asked = 0;
  return {
    fails: async (items: readonly number[]) => {
      asked++;
      return culprits.every((culprit) => items.includes(culprit));
    },
    get asked() {
      return asked;
    },
  };
}

test("exactly what is needed is left, whatever that is", async () => {
  await fc.assert(
    fc.asyncProperty(fc.subarray(numbers), async (culprits) => {
      expect(await minimise(numbers, needs(culprits).fails)).toEqual(culprits);
    }),
  );
});

test("when nothing is needed, one question is enough", async () => {
  const nothing = needs([]);
  expect(await minimise(numbers, nothing.fails)).toEqual([]);
  expect(nothing.asked).toBe(1);
});

test("one culprit among many is found in about twice the logarithm of their number", async () => {
  const one = needs([17]);
  expect(await minimise(numbers, one.fails)).toEqual([17]);
  expect(one.asked).toBeLessThan(15);
});

test("what is left when the time runs out still fails", async () => {
  const { fails } = needs([3, 30]);
  let questions = 6;
  const left = await minimise(numbers, async (items) => (questions-- > 0 ? fails(items) : undefined));
  expect(left.length).toBeLessThan(40);
  expect(await fails(left)).toBe(true);
});
