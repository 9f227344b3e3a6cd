import fc from "fast-check";
import { expect, test } from "vitest";
import { type Demand, fairShares, uniformDrop } from "./fair-share.ts";

const demands = fc.array(
  fc.record({
    rate: fc.double({ min: 0, max: 10_000, noNaN: true }),
    weight: fc.double({ min: 0.1, max: 100, noNaN: true }),
  }),
  { maxLength: 40 },
);
const amount = fc.double({ min: 0, max: 50_000, noNaN: true });
const admitted = (parties: readonly Demand[], drops: readonly number[]) =>
  parties.map(({ rate }, index) => rate * (1 - (drops[index] ?? 0)));
const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

test("whoever sends less than the share loses nothing; the others are cut to it", () => {
  const parties = [40, 40, 16_000, 4_000].map((rate) => ({ rate, weight: 1 }));
  const { share, drops } = fairShares(parties, { admissible: 5_080, others: 1_000 });
  expect(share).toBe(2_000);
  expect(drops).toEqual([0, 0, 1 - 2_000 / 16_000, 0.5]);
});

test("a weight of three is a share of three", () => {
  const { drops } = fairShares(
    [
      { rate: 1_000, weight: 3 },
      { rate: 1_000, weight: 1 },
    ],
    { admissible: 400, others: 0 },
  );
  expect(drops).toEqual([0.7, 0.9]);
});

test("nobody is refused while everything fits", () => {
  expect(fairShares([{ rate: 10, weight: 1 }], { admissible: 30, others: 20 })).toEqual({
    share: Number.POSITIVE_INFINITY,
    drops: [0],
  });
  expect(uniformDrop(30, 30)).toBe(0);
});

test("the small ones come first, and are refused only when they alone are too many", () => {
  const heavy = [{ rate: 100, weight: 1 }];
  expect(fairShares(heavy, { admissible: 50, others: 80, dropMax: 0.98 }).drops).toEqual([0.98]);
  expect(uniformDrop(80, 50)).toBeCloseTo(0.375);
  expect(uniformDrop(80, 0, 0.98)).toBe(0.98);
});

test("what is admitted adds up to what can be, and nothing is refused that has room", () => {
  const property = (parties: readonly Demand[], admissible: number, others: number) => {
    const { drops } = fairShares(parties, { admissible, others });
    const total = sum(admitted(parties, drops));
    const room = Math.max(0, admissible - others);
    expect(total).toBeCloseTo(Math.min(room, sum(parties.map(({ rate }) => rate))), 3);
  };
  fc.assert(fc.property(demands, amount, amount, property), { seed: 1 });
});

test("nobody who is refused gets less per weight than anybody else", () => {
  const property = (parties: readonly Demand[], admissible: number) => {
    const { drops } = fairShares(parties, { admissible, others: 0 });
    const perWeight = admitted(parties, drops).map((rate, index) => rate / (parties[index]?.weight ?? 1));
    const most = Math.max(0, ...perWeight);
    drops.forEach((drop, index) => {
      expect(drop).toBeGreaterThanOrEqual(0);
      expect(drop).toBeLessThanOrEqual(1);
      if (drop > 0) expect(perWeight[index]).toBeCloseTo(most, 3);
    });
  };
  fc.assert(fc.property(demands, amount, property), { seed: 2 });
});

test("one that sends more takes nothing from those that lose nothing", () => {
  const property = (parties: readonly Demand[], admissible: number, more: number) => {
    fc.pre(parties.length > 1);
    const before = fairShares(parties, { admissible, others: 0 }).drops;
    const louder = parties.map((party, index) => (index === 0 ? { ...party, rate: party.rate + more } : party));
    const { share, drops } = fairShares(louder, { admissible, others: 0 });
    parties.forEach(({ rate, weight }, index) => {
      const isWithinItsShare =
        index > 0 && before[index] === 0 && rate / weight <= admissible / sum(parties.map((p) => p.weight));
      if (isWithinItsShare && share > 0) expect(drops[index]).toBe(0);
    });
  };
  fc.assert(fc.property(demands, amount, amount, property), { seed: 3 });
});
