import fc from "fast-check";
import { expect, test } from "vitest";
import { type AimdFacts, type AimdState, decideLimit, defaultAimdConfig, noteOutcomes, startAimd } from "./aimd.ts";

const config = defaultAimdConfig;
const busy = { inflight: 1_000, backlog: 1_000, roundTripMs: 0 };

/** Windows of one second each: `[outcomes, errors]`. */
function run(windows: readonly (readonly [number, number])[], facts: Omit<AimdFacts, "now"> = busy): AimdState[] {
  const states: AimdState[] = [];
  let state = startAimd(0, config);
  windows.forEach(([outcomes, errors], index) => {
    state = decideLimit(noteOutcomes(state, { outcomes, errors }), { now: (index + 1) * 1_000, ...facts }, config);
    states.push(state);
  });
  return states;
}
const limits = (states: readonly AimdState[]) => states.map(({ limit }) => limit);
const times = <T>(count: number, value: T): T[] => new Array<T>(count).fill(value);

test("it grows by one a second while it is used and nothing is refused", () => {
  expect(limits(run(times(3, [100, 0])))).toEqual([11, 12, 13]);
});

test("it does not grow unless something waits and half of it is used", () => {
  expect(limits(run(times(3, [100, 0]), { ...busy, backlog: 0 }))).toEqual([10, 10, 10]);
  expect(limits(run(times(3, [100, 0]), { ...busy, inflight: 4 }))).toEqual([10, 10, 10]);
  expect(limits(run(times(1, [100, 0]), { ...busy, inflight: 5 }))).toEqual([11]);
});

test("it shrinks only when both the number and the share of errors pass their thresholds", () => {
  expect(limits(run([[100, 4]]))).toEqual([10]);
  expect(limits(run([[100, 9]]))).toEqual([10]);
  expect(limits(run([[100, 10]]))).toEqual([7]);
  expect(limits(run([[50_000, 5]]))).toEqual([10]);
});

test("after shrinking it makes no decision for two seconds or one round trip", () => {
  expect(limits(run(times(4, [100, 100])))).toEqual([7, 7, 4, 4]);
  expect(limits(run(times(5, [100, 100]), { ...busy, roundTripMs: 3_500 }))).toEqual([7, 7, 7, 7, 4]);
});

test("a window with few outcomes goes on until it has twenty, at most ten seconds", () => {
  expect(limits(run(times(3, [8, 8])))).toEqual([10, 10, 7]);
  expect(limits(run(times(10, [1, 1])))).toEqual([...times(9, 10), 7]);
  expect(limits(run(times(20, [0, 0])))).toEqual([...times(9, 10), ...times(10, 11), 12]);
});

test("after thirty quiet seconds it falls to twice of what was used, not below where it starts", () => {
  const grown = { ...startAimd(0, config), limit: 200 };
  const quiet = (inflight: number) =>
    [0, 10_000, 29_999, 30_000].reduce(
      (state, now) =>
        decideLimit(state, { now, inflight: now === 10_000 ? inflight : 0, backlog: 0, roundTripMs: 0 }, config),
      grown,
    ).limit;
  expect([quiet(60), quiet(3), quiet(150)]).toEqual([120, 10, 200]);
});

test("whatever happens, the limit stays in its bounds and changes by at most one step a window", () => {
  const windows = fc.array(
    fc.record({
      outcomes: fc.nat(200),
      errorRatio: fc.double({ min: 0, max: 1, noNaN: true }),
      inflight: fc.nat(300),
      backlog: fc.nat(3),
      stepMs: fc.integer({ min: 1, max: 20_000 }),
    }),
    { maxLength: 100 },
  );
  fc.assert(
    fc.property(windows, fc.integer({ min: 1, max: 50 }), (script, limitMax) => {
      const bounded = { ...config, limitMax };
      let now = 0;
      let state = startAimd(now, bounded);
      return script.every(({ outcomes, errorRatio, inflight, backlog, stepMs }) => {
        now += stepMs;
        const before = state.limit;
        const noted = noteOutcomes(state, { outcomes, errors: Math.floor(outcomes * errorRatio) });
        state = decideLimit(noted, { now, inflight, backlog, roundTripMs: 50 }, bounded);
        const isBounded = state.limit >= 1 && state.limit <= limitMax && Number.isInteger(state.limit);
        return isBounded && state.limit <= before + 1;
      });
    }),
  );
});

test("two flows that share a capacity end up with equal limits", () => {
  let a = { ...startAimd(0, config), limit: 90 };
  let b = { ...startAimd(0, config), limit: 10 };
  const capacity = 100;
  for (let now = 1_000; now < 600_000; now += 1_000) {
    const refused = a.limit + b.limit > capacity ? 10 : 0;
    const noted = { outcomes: 50, errors: refused };
    a = decideLimit(noteOutcomes(a, noted), { now, inflight: a.limit, backlog: 1, roundTripMs: 0 }, config);
    b = decideLimit(noteOutcomes(b, noted), { now, inflight: b.limit, backlog: 1, roundTripMs: 0 }, config);
  }
  expect(Math.abs(a.limit - b.limit)).toBeLessThanOrEqual(5);
});
