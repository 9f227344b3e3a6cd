import { halvesOf, laneCount, laneCountOf } from "@sluice/core";
import fc from "fast-check";
import { expect, test } from "vitest";
import { mergeWish, moveWish, splitWish } from "./reshape.ts";
import type { Wish } from "./wishes.ts";

const rest = { now: 1_000, until: 5_000 };
const whole: Wish = { queue: "q0", partitions: [{ prefix: "", ownerId: "a" }], modRevision: 7 };

test("a split keeps the lower half where it is, gives the upper one away, and lets both rest", () => {
  const options = { prefix: "", upperOwnerId: "b", dispatchedPerSecond: 900 };
  expect(splitWish(whole, options, rest)).toEqual({
    queue: "q0",
    modRevision: 7,
    partitions: [
      { prefix: "0", ownerId: "a", restsUntil: 5_000 },
      { prefix: "1", ownerId: "b", restsUntil: 5_000 },
    ],
    shapeRestsUntil: 5_000,
    splitAt: { "": 900 },
  });
});

test("a merge undoes a split, and forgets at which rate it was made", () => {
  const split = splitWish(whole, { prefix: "", upperOwnerId: "b", dispatchedPerSecond: 900 }, rest) as Wish;
  expect(mergeWish(split, { prefix: "", ownerId: "b" }, { now: 6_000, until: 9_000 })).toEqual({
    ...whole,
    partitions: [{ prefix: "", ownerId: "b", restsUntil: 9_000 }],
    shapeRestsUntil: 9_000,
    splitAt: {},
  });
});

test("a move changes one owner, and drops rests that are over", () => {
  const split = splitWish(whole, { prefix: "", upperOwnerId: "b" }, rest) as Wish;
  const moved = moveWish(split, { prefix: "1", ownerId: "c" }, { now: 6_000, until: 9_000 });
  expect(moved?.partitions).toEqual([
    { prefix: "0", ownerId: "a" },
    { prefix: "1", ownerId: "c", restsUntil: 9_000 },
  ]);
  expect(moved?.shapeRestsUntil).toBe(5_000);
});

test("what does not fit the wish changes nothing", () => {
  const split = splitWish(whole, { prefix: "", upperOwnerId: "b" }, rest) as Wish;
  const deeper = splitWish(split, { prefix: "1", upperOwnerId: "b" }, rest) as Wish;
  expect(splitWish(split, { prefix: "", upperOwnerId: "b" }, rest)).toBeUndefined();
  expect(moveWish(split, { prefix: "00", ownerId: "b" }, rest)).toBeUndefined();
  expect(mergeWish(whole, { prefix: "", ownerId: "b" }, rest)).toBeUndefined();
  expect(mergeWish(deeper, { prefix: "", ownerId: "b" }, rest)).toBeUndefined();
  expect(mergeWish(deeper, { prefix: "0", ownerId: "b" }, rest)).toBeUndefined();
});

test("after any changes the partitions cover all lanes once, in order, with at most five bits", () => {
  const change = fc.record({
    kind: fc.constantFrom("split" as const, "split" as const, "merge" as const, "move" as const),
    at: fc.nat(),
    ownerId: fc.constantFrom("a", "b", "c"),
  });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 60 }), (changes) => {
      let wish = whole;
      for (const { kind, at, ownerId } of changes) {
        const prefix = wish.partitions[at % wish.partitions.length]?.prefix ?? "";
        if (kind === "split") wish = splitWish(wish, { prefix, upperOwnerId: ownerId }, rest) ?? wish;
        else if (kind === "move") wish = moveWish(wish, { prefix, ownerId }, rest) ?? wish;
        else wish = mergeWish(wish, { prefix: prefix.slice(0, -1), ownerId }, rest) ?? wish;
        const prefixes = wish.partitions.map((partition) => partition.prefix);
        expect(prefixes).toEqual([...prefixes].sort());
        expect(prefixes.every((each) => each.length <= 5)).toBe(true);
        expect(prefixes.reduce((sum, each) => sum + laneCountOf(each), 0)).toBe(laneCount);
      }
    }),
  );
});

test("a single lane is not split", () => {
  let wish = whole;
  let prefix = "";
  while (halvesOf(prefix) !== undefined) {
    wish = splitWish(wish, { prefix, upperOwnerId: "b" }, rest) as Wish;
    prefix += "1";
  }
  expect(prefix).toBe("11111");
  expect(splitWish(wish, { prefix, upperOwnerId: "b" }, rest)).toBeUndefined();
});
