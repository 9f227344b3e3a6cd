import fc from "fast-check";
import { expect, test } from "vitest";
import { halvesOf, laneCount, laneCountOf, lanesOf, parentOf } from "./partition.ts";

const prefix = fc.string({ unit: fc.constantFrom("0", "1"), maxLength: 5 });

test("the halves of a prefix are its lanes, each once, and it is the parent of both", () => {
  fc.assert(
    fc.property(prefix, (whole) => {
      const halves = halvesOf(whole);
      if (halves === undefined) return laneCountOf(whole) === 1;
      const [lower, upper] = halves.map(lanesOf);
      expect(halves.map(parentOf)).toEqual([whole, whole]);
      expect({ from: lower?.from, until: upper?.until }).toEqual(lanesOf(whole));
      return lower?.until === upper?.from && halves.every((half) => laneCountOf(half) * 2 === laneCountOf(whole));
    }),
  );
});

test("the whole queue is no half of anything", () => {
  expect(parentOf("")).toBeUndefined();
  expect(laneCountOf("")).toBe(laneCount);
});
