import fc from "fast-check";
import { expect, test } from "vitest";
import { capacityOf, emptyBucket, nextTokenInMs, refilled, taken, tokensOf } from "./token-bucket.ts";

const limit = { rateMax: 4, rateBurst: 2 };

test("it starts empty, fills at its rate, and holds its burst", () => {
  const bucket = emptyBucket(1_000);
  expect(tokensOf(bucket)).toBe(0);
  expect(nextTokenInMs(bucket, limit)).toBe(250);
  expect(tokensOf(refilled(bucket, limit, 1_249))).toBe(0);
  expect(tokensOf(refilled(bucket, limit, 1_250))).toBe(1);
  expect(tokensOf(refilled(bucket, limit, 60_000))).toBe(2);
});

test("without a burst it holds the tokens of a second, and at least one", () => {
  expect(capacityOf({ rateMax: 4, rateBurst: 0 })).toBe(4);
  expect(capacityOf({ rateMax: 0.1, rateBurst: 0 })).toBe(1);
});

test("a token that was given back is there, up to its burst", () => {
  const full = refilled(emptyBucket(0), limit, 10_000);
  const one = taken(full, limit, 1);
  expect(tokensOf(one)).toBe(1);
  expect(tokensOf(taken(one, limit, -1))).toBe(2);
  expect(tokensOf(taken(full, limit, -1))).toBe(2);
});

test("in no window more is taken than the burst and what the rate gives, whenever it is asked and however it changes", () => {
  const step = fc.record({ ms: fc.integer({ min: 0, max: 700 }), rateMax: fc.constantFrom(0.5, 3, 4) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      let bucket = emptyBucket(0);
      let now = 0;
      const starts: number[] = [];
      for (const { ms, rateMax } of steps) {
        now += ms;
        bucket = refilled(bucket, { rateMax, rateBurst: 2 }, now);
        if (tokensOf(bucket) === 0) continue;
        bucket = taken(bucket, { rateMax, rateBurst: 2 }, 1);
        starts.push(now);
      }
      return starts.every((from, first) =>
        starts.slice(first).every((until, more) => more + 1 <= 2 + (4 * (until - from)) / 1_000 + 1e-6),
      );
    }),
  );
});

test("when it says that a token comes, it has come", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5_000 }), fc.integer({ min: 0, max: 3_000 }), (rate, ms) => {
      const slow = { rateMax: rate / 100, rateBurst: 1 };
      const bucket = refilled(emptyBucket(0), slow, ms);
      return tokensOf(refilled(bucket, slow, ms + nextTokenInMs(bucket, slow))) >= 1;
    }),
  );
});
