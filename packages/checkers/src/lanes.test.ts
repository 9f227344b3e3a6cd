import { expect, test } from "vitest";
import { covers, laneCount, lanesOf } from "./lanes.ts";

test("a prefix has the lanes that begin with its bits", () => {
  expect(lanesOf("")).toEqual({ from: 0, until: laneCount });
  expect(lanesOf("1")).toEqual({ from: 16, until: 32 });
  expect(lanesOf("00101")).toEqual({ from: 5, until: 6 });
  const ofTwo = Array.from({ length: laneCount }, (_, lane) => lane).filter((lane) => covers("01", lane));
  expect(ofTwo).toEqual([8, 9, 10, 11, 12, 13, 14, 15]);
});
