import { seededRandom } from "@sluice/core/testing";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { type Candidate, place } from "./place.ts";

const candidate = (free: number, facts: { warm?: number[]; used?: number } = {}): Candidate => ({
  free,
  warm: new Set(facts.warm ?? []),
  usedOfRevision: new Map([[1, facts.used ?? 0]]),
  instancesMax: 5,
});
// Five instances of the agent, which run one each; and as many ahead.
const placing = { revision: 1, instanceConcurrency: 1, instancesMax: 100, aheadFactor: 2 };

test("nobody is chosen when nobody has room", () => {
  expect(place([], placing, seededRandom(1))).toBeUndefined();
  expect(place([candidate(0), candidate(0)], placing, seededRandom(1))).toBeUndefined();
});

test("an agent that runs its share of a function gets no more of it", () => {
  expect(place([candidate(5, { used: 10 })], placing, seededRandom(1))).toBeUndefined();
});

test("of two candidates the warm one is chosen, else the one with more room", () => {
  const warm = candidate(1, { warm: [1] });
  expect(place([warm, candidate(9)], placing, seededRandom(1))).toBe(warm);
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

test("load spreads: the fullest of many equal agents gets at most twice the mean", () => {
  const random = seededRandom(7);
  const agents = Array.from({ length: 20 }, () => ({
    free: 1_000,
    warm: new Set<number>(),
    usedOfRevision: new Map<number, number>(),
    instancesMax: 1_000,
  }));
  for (let n = 0; n < 2_000; n++) {
    const chosen = place(agents, placing, random);
    if (chosen) chosen.free--;
  }
  expect(Math.max(...agents.map(({ free }) => 1_000 - free))).toBeLessThan(200);
});
