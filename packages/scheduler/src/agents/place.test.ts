import { seededRandom } from "@sluice/core/testing";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { place, roomFor } from "./place.ts";

interface Facts {
  readonly warm?: readonly number[];
  readonly used?: number;
  readonly usedWhenWarm?: number;
  readonly memoryMaxMb?: number;
}
const candidate = (free: number, { warm = [], used = 0, usedWhenWarm = 0, memoryMaxMb = 100_000 }: Facts = {}) => ({
  free,
  warm: new Set(warm),
  usedWhenWarm: new Map([[1, usedWhenWarm]]),
  usedOfRevision: new Map([[1, used]]),
  instancesMax: 5,
  memoryMaxMb,
});
// Five instances of the agent, which run one each; and as many ahead.
const placing = { revision: 1, instanceConcurrency: 1, instancesMax: 100, memoryMb: 128, aheadFactor: 2 };

test("nobody is chosen when nobody has room", () => {
  expect(place([], placing, seededRandom(1))).toBeUndefined();
  expect(place([candidate(0), candidate(0)], placing, seededRandom(1))).toBeUndefined();
});

test("an agent that runs its share of a function gets no more of it", () => {
  expect(place([candidate(5, { used: 10 })], placing, seededRandom(1))).toBeUndefined();
});

test("an agent gets what its memory can run of a function, and one of a function that is larger", () => {
  expect(roomFor(candidate(50, { memoryMaxMb: 300 }), placing)).toBe(4);
  expect(roomFor(candidate(50, { memoryMaxMb: 100 }), placing)).toBe(2);
});

test("a warm agent is chosen first, however many others have more room", () => {
  const warm = candidate(1, { warm: [1] });
  const others = Array.from({ length: 11 }, () => candidate(9));
  for (let seed = 0; seed < 50; seed++) expect(place([...others, warm], placing, seededRandom(seed))).toBe(warm);
});

test("what a warm agent was sent since it said so may have taken its instance", () => {
  const taken = candidate(1, { warm: [1], used: 3, usedWhenWarm: 2 });
  const roomy = candidate(9);
  expect(place([taken, roomy], placing, seededRandom(1))).toBe(roomy);
});

test("of two that are not warm the one with more room is chosen", () => {
  const roomy = candidate(9);
  expect(place([candidate(1), roomy], placing, seededRandom(1))).toBe(roomy);
});

test("whoever is chosen has room", () => {
  void fc.assert(
    fc.property(fc.array(fc.record({ free: fc.nat(3), used: fc.nat(12) })), fc.nat(), (agents, seed) => {
      const candidates = agents.map(({ free, used }) => candidate(free, { used }));
      const chosen = place(candidates, placing, seededRandom(seed));
      const roomy = candidates.filter(({ free, usedOfRevision }) => free > 0 && (usedOfRevision.get(1) ?? 0) < 10);
      return chosen === undefined ? roomy.length === 0 : roomy.includes(chosen);
    }),
  );
});

test("load spreads: of many equal agents none gets more than a fifth above the mean", () => {
  const random = seededRandom(7);
  const agents = Array.from({ length: 20 }, () => ({ ...candidate(1_000), instancesMax: 1_000 }));
  for (let n = 0; n < 4_000; n++) {
    const chosen = place(agents, placing, random);
    if (chosen) chosen.free--;
  }
  const loads = agents.map(({ free }) => 1_000 - free);
  expect(Math.max(...loads)).toBeLessThan(240);
  expect(Math.min(...loads)).toBeGreaterThan(160);
});

test("among hundreds one with room is found, if it is the only one", () => {
  const last = candidate(1);
  const full = Array.from({ length: 300 }, () => candidate(0));
  expect(place([...full, last], placing, seededRandom(3))).toBe(last);
});
