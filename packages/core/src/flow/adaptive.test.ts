import fc from "fast-check";
import { expect, test } from "vitest";
import { type AdaptiveStart, createAdaptiveFlow } from "./adaptive.ts";
import { defaultAdaptiveConfig } from "./adaptive-config.ts";

/** Starts as much as there is room for, every 10 ms, and ends it `taskMs` later; every `refusedEvery`th is refused. */
function run(
  flow: ReturnType<typeof createAdaptiveFlow>,
  { from = 0, seconds = 1, taskMs = 10, refusedEvery = Number.POSITIVE_INFINITY, startsMax = 1_000_000 },
) {
  const ends: { at: number; start: AdaptiveStart; isRefused: boolean }[] = [];
  let starts = 0;
  for (let now = from; now < from + seconds * 1_000; now += 10) {
    for (let end = ends[0]; end && end.at <= now; end = ends[0]) {
      ends.shift();
      flow.ended(now, end.start, end.isRefused ? { retryAfterMs: 0 } : undefined);
    }
    for (let room = Math.min(flow.room(now), startsMax - starts); room > 0; room--) {
      const start = flow.started(now);
      starts++;
      ends.push({ at: now + taskMs, start, isRefused: starts % refusedEvery === 0 });
    }
  }
  return starts;
}

test("without errors there is no rate, and the window of concurrency grows by a fifth a second while it is the bound", () => {
  const flow = createAdaptiveFlow(0);
  expect(flow.room(0)).toBe(100);
  run(flow, { seconds: 3.05, taskMs: 100_000 });
  expect(flow.rate).toBeUndefined();
  expect(flow.concurrency).toBe(172);
});

test("four errors do not shrink it, however large their share", () => {
  const flow = createAdaptiveFlow(0);
  for (let index = 0; index < 4; index++) flow.ended(1, flow.started(0), { retryAfterMs: 0 });
  run(flow, { from: 10, seconds: 70, startsMax: 50 });
  expect(flow.shrinks).toBe(0);
});

test("a share of errors below the threshold does not shrink it, however many", () => {
  const flow = createAdaptiveFlow(0);
  run(flow, { seconds: 5, refusedEvery: 25 });
  expect(flow.shrinks).toBe(0);
});

test("past both thresholds it aims at what was accepted", () => {
  const flow = createAdaptiveFlow(0);
  run(flow, { seconds: 1.1, taskMs: 10, refusedEvery: 2 });
  expect(flow.shrinks).toBe(1);
  // A hundred at a time, of 10 ms each; half of them are refused.
  expect(flow.rate).toBeGreaterThan(0.9 * 5_000);
  expect(flow.rate).toBeLessThan(1.05 * 5_000);
});

test("every other one refused right after windows without errors: back to what went well, then to what was accepted", () => {
  const flow = createAdaptiveFlow(0);
  const runOn = (from: number, seconds: number, refusedEvery: number) => {
    flow.atMost(0);
    run(flow, { from, seconds, refusedEvery });
    return flow.rate ?? 0;
  };
  runOn(0, 1.1, 2);
  const before = runOn(1_100, 4, Number.POSITIVE_INFINITY);
  expect(runOn(5_100, 1, 2)).toBeGreaterThan(0.85 * before);
  expect(flow.shrinks).toBe(2);
  expect(runOn(6_100, 1, 2)).toBeLessThan(0.6 * before);
});

test("a retry-after holds the flow for its time, and for a minute at most", () => {
  const flow = createAdaptiveFlow(0);
  flow.ended(5, flow.started(0), { retryAfterMs: 2_000 });
  expect([flow.room(6), flow.roomAt(6)]).toEqual([0, 2_005]);
  expect(flow.room(2_005)).toBe(100);
  flow.ended(2_010, flow.started(2_005), { retryAfterMs: 3_600_000 });
  expect(flow.heldUntil).toBe(62_010);
});

test("agents that are busy shrink the window of concurrency, not the rate", () => {
  const flow = createAdaptiveFlow(0);
  const starts = Array.from({ length: 100 }, () => flow.started(0));
  for (const start of starts.slice(0, 20)) flow.released(5, start, { isBusy: true });
  flow.room(1_001);
  expect([flow.concurrency, flow.rate]).toEqual([70, undefined]);
});

test("a rate that bounds nothing is released, and then the flow can be forgotten", () => {
  const flow = createAdaptiveFlow(0);
  run(flow, { seconds: 1.1, refusedEvery: 2 });
  expect(flow.rate).toBeDefined();
  flow.atMost(0);
  expect(flow.isIdle(20_000)).toBe(false);
  expect(flow.isIdle(60_000)).toBe(true);
  expect(flow.rate).toBeUndefined();
});

test("of attempts that start while a window closes, each is refused in the window that counts it", () => {
  const flow = createAdaptiveFlow(0);
  const starts = Array.from({ length: 19 }, () => flow.started(0));
  // The first of these makes the window full enough to be closed by the next one, in the same instant.
  const late = Array.from({ length: 21 }, () => flow.started(1_000));
  for (const start of starts) flow.ended(1_005, start);
  for (const start of late) flow.ended(1_005, start, { retryAfterMs: 0 });
  for (const now of [2_000, 2_100]) flow.room(now);
  expect(flow.shrinks).toBe(1);
  expect(flow.rate).toBeGreaterThan(0.5);
});

test("refusals of what had started before a shrink do not shrink it again, however late they come", () => {
  const flow = createAdaptiveFlow(0);
  const starts = Array.from({ length: 40 }, () => flow.started(0));
  for (const start of starts.slice(0, 20)) flow.ended(500, start, { retryAfterMs: 0 });
  const late = Array.from({ length: 20 }, () => flow.started(1_400));
  flow.room(2_000);
  expect(flow.shrinks).toBe(1);
  run(flow, { from: 2_010, seconds: 0.9 });
  for (const start of late) flow.ended(2_915, start, { retryAfterMs: 0 });
  run(flow, { from: 2_920, seconds: 20 });
  expect(flow.shrinks).toBe(1);
});

test("a retry-after takes 5 % off the rate also when it is the first that is heard of its window", () => {
  const flow = createAdaptiveFlow(0);
  run(flow, { seconds: 1.1, refusedEvery: 2 });
  run(flow, { from: 1_100, seconds: 2 });
  const start = flow.started(5_000);
  const { rate = 0, shrinks } = flow;
  flow.ended(5_005, start, { retryAfterMs: 1_000 });
  expect(flow.rate).toBeCloseTo(0.95 * rate, 6);
  expect(flow.shrinks).toBe(shrinks);
});

const steps = fc.array(
  fc.record({
    kind: fc.constantFrom("start", "start", "start", "end", "refuse", "hold", "release", "busy", "wait"),
    ms: fc.integer({ min: 0, max: 2_000 }),
  }),
  { maxLength: 400 },
);

test("whatever happens, it never has room for more than its windows, and grows by no more than a fifth per window", () => {
  fc.assert(
    fc.property(steps, (given) => {
      const { growRatioMax, windowMs } = defaultAdaptiveConfig;
      const flow = createAdaptiveFlow(0);
      const starts: AdaptiveStart[] = [];
      let now = 0;
      for (const { kind, ms } of given) {
        const before = flow.rate;
        now += ms / 10;
        const room = flow.room(now);
        expect(room).toBeGreaterThanOrEqual(0);
        expect(flow.inflight).toBe(starts.length);
        expect(flow.concurrency).toBeGreaterThanOrEqual(1);
        expect(room + flow.inflight <= Math.max(flow.concurrency, flow.inflight)).toBe(true);
        if (now < flow.heldUntil) expect(room).toBe(0);
        if (before !== undefined && flow.rate !== undefined) {
          expect(flow.rate).toBeLessThanOrEqual(before * (1 + growRatioMax) ** (ms / 10 / windowMs) * 1.000_001);
          expect(room).toBeLessThanOrEqual(2 + flow.rate);
        }
        // Without room it waits for an end, or knows when.
        if (room === 0 && flow.inflight === 0) expect(flow.roomAt(now)).toBeGreaterThan(now);
        const start = kind === "start" || kind === "wait" ? undefined : starts.shift();
        if (kind === "start" && room > 0) starts.push(flow.started(now));
        else if (start === undefined) continue;
        else if (kind === "end") flow.ended(now, start);
        else if (kind === "release" || kind === "busy") flow.released(now, start, { isBusy: kind === "busy" });
        else flow.ended(now, start, { retryAfterMs: kind === "hold" ? ms : 0 });
      }
    }),
  );
});

const lateEnds = fc.array(
  fc.record({
    kind: fc.constantFrom("pick", "pick", "pick", "end", "refuse", "refuse", "hold", "release", "tell twice"),
    count: fc.integer({ min: 1, max: 40 }),
    which: fc.nat(),
    ms: fc.integer({ min: 0, max: 2_000 }),
  }),
  { maxLength: 200 },
);

test("ends that come late and in any order leave it a rate above 0, of which it is free again in ten minutes", () => {
  fc.assert(
    fc.property(lateEnds, (given) => {
      const flow = createAdaptiveFlow(0);
      const starts: AdaptiveStart[] = [];
      let now = 0;
      const isSound = () => {
        const { rate = 1, concurrency } = flow;
        const inMs = (flow.roomAt(now) ?? now) - now;
        return rate > 0 && Number.isFinite(rate) && concurrency >= 1 && inMs <= 600_000;
      };
      for (const { kind, count, which, ms } of given) {
        now += ms;
        for (let left = Math.min(count, kind === "pick" ? flow.room(now) : starts.length); left > 0; left--) {
          if (kind === "pick") {
            starts.push(flow.started(now));
            continue;
          }
          const [start] = starts.splice(which % starts.length, 1) as [AdaptiveStart];
          if (kind === "release") flow.released(now, start);
          else if (kind === "end") flow.ended(now, start);
          else flow.ended(now, start, { retryAfterMs: kind === "hold" ? ms : 0 });
          if (kind === "tell twice") flow.ended(now, start, { retryAfterMs: 0 });
        }
        expect(isSound()).toBe(true);
      }
      for (const start of starts) flow.ended(now, start, { retryAfterMs: 0 });
      const endedAt = now;
      for (; !flow.isIdle(now); now += 1_000) {
        expect(isSound()).toBe(true);
        expect(now - endedAt).toBeLessThan(600_000);
      }
    }),
  );
});
