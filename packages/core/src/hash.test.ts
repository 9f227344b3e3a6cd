import fc from "fast-check";
import { expect, test } from "vitest";
import { combine, hash32, hashHex, hashToUnit } from "./hash.ts";

test("the hash of a text is FNV-1a 64", () => {
  expect(hashHex("")).toBe("cbf29ce484222325");
  expect(hashHex("a")).toBe("af63dc4c8601ec8c");
  expect(hashHex("foobar")).toBe("85944171f73967e8");
});

test("the folded hash never changes", () => {
  expect(["", "a", "main/resize", "main/resizf", "ü", "日本"].map(hash32)).toMatchInlineSnapshot(`
    [
      3852971260,
      2547855664,
      754575412,
      657929343,
      2959425166,
      1908630965,
    ]
  `);
});

test("texts that differ in one digit spread evenly", () => {
  const buckets = new Array<number>(32).fill(0);
  for (let index = 0; index < 32_000; index++) {
    const bucket = hash32(`account/function-${index}`) % 32;
    buckets[bucket] = (buckets[bucket] ?? 0) + 1;
  }
  expect(Math.min(...buckets)).toBeGreaterThan(850);
  expect(Math.max(...buckets)).toBeLessThan(1150);
});

test("a combination depends on both hashes and their order", () => {
  fc.assert(
    fc.property(fc.nat(2 ** 32 - 1), fc.nat(2 ** 32 - 1), (a, b) => {
      const unit = hashToUnit(combine(a, b));
      return unit > 0 && unit < 1 && (a === b || combine(a, b) !== combine(b, a));
    }),
    { seed: 1 },
  );
});
