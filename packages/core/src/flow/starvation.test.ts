// The bounds that `FairOrder` and `urgency` state, whatever comes when.
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Flow } from "../ids.ts";
import type { Priority } from "../task/task.ts";
import { aFlow } from "../testing/index.ts";
import { createFairOrder } from "./fairness.ts";
import { patienceMs, urgency } from "./urgency.ts";

interface Arrival {
  readonly flow: Flow;
  readonly enqueuedAt: number;
  readonly urgency: number;
}

const step = fc.record({
  arrives: fc.array(
    fc.record({
      account: fc.nat({ max: 2 }),
      name: fc.nat({ max: 1 }),
      priority: fc.constantFrom<Priority>(0, 1, 2, 3),
    }),
    { maxLength: 4 },
  ),
  passesMs: fc.constantFrom(0, 1, 1_000, 30_000),
  takes: fc.nat({ max: 3 }),
});

test("a task is passed inside its flow only by what was enqueued within its patience after it, or before it", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const order = createFairOrder<Arrival & { readonly priority: Priority }>();
      const waiting = new Set<Arrival & { readonly priority: Priority }>();
      let now = 0;
      for (const { arrives, passesMs, takes } of steps) {
        now += passesMs;
        for (const { account, name, priority } of arrives) {
          const flow = aFlow({ account: `a${account}`, function: `f${name}` });
          const item = { flow, enqueuedAt: now, priority, urgency: urgency({ enqueuedAt: now, priority }) };
          waiting.add(item);
          order.add(flow, item.urgency, item);
        }
        for (let take = 0; take < takes; take++) {
          const taken = order.take();
          if (!taken) break;
          waiting.delete(taken);
          for (const passed of waiting) {
            if (passed.flow.accountId !== taken.flow.accountId || passed.flow.functionName !== taken.flow.functionName)
              continue;
            expect(taken.urgency).toBeLessThanOrEqual(passed.urgency);
            expect(taken.enqueuedAt - passed.enqueuedAt).toBeLessThanOrEqual(patienceMs[passed.priority]);
          }
        }
      }
    }),
    { numRuns: 200, seed: 20_261_121 },
  );
});

test("once a task is the most urgent of its flow, the other flows are served at most their shares before it", () => {
  const weight = fc.integer({ min: 1, max: 4 });
  fc.assert(
    fc.property(fc.array(weight, { minLength: 2, maxLength: 5 }), fc.nat({ max: 200 }), (weights, before) => {
      const flows = weights.map((_, account) => aFlow({ account: `a${account}` }));
      const weightOf = (flow: Flow) => ({
        account: weights[flows.findIndex(({ accountId }) => accountId === flow.accountId)] ?? 1,
        flow: 1,
      });
      const order = createFairOrder<string>({ weightOf });
      for (const [index, flow] of flows.entries()) order.add(flow, 10, `crowd ${index}`, 100_000);
      for (let taken = 0; taken < before; taken++) order.take();
      // Low priority, but older than all that its flow has.
      order.add(flows[0] as Flow, 5, "old");
      const passed = new Map<string, number>();
      for (let next = order.take(); next !== "old"; next = order.take())
        passed.set(next ?? "", (passed.get(next ?? "") ?? 0) + 1);
      const own = weights[0] ?? 1;
      expect(passed.get("crowd 0") ?? 0).toBe(0);
      for (let other = 1; other < weights.length; other++) {
        expect(passed.get(`crowd ${other}`) ?? 0).toBeLessThanOrEqual(Math.floor((weights[other] ?? 1) / own) + 1);
      }
    }),
    { numRuns: 200, seed: 20_261_121 },
  );
});

test("with costs, between two picks of an account another is charged its share of them and one attempt more", () => {
  const cost = fc.integer({ min: 1, max: 500 });
  fc.assert(
    fc.property(fc.array(fc.tuple(cost, cost), { minLength: 50, maxLength: 200 }), (costs) => {
      const [a, b] = [aFlow({ account: "a" }), aFlow({ account: "b" })];
      const order = createFairOrder<string>();
      order.add(a, 0, "a", 100_000);
      order.add(b, 0, "b", 100_000);
      let since = 0;
      let lastOfA = 0;
      let dearestOfB = 0;
      for (const [ofA, ofB] of costs) {
        if (order.peek() === "a") {
          expect(since).toBeLessThanOrEqual(lastOfA + dearestOfB);
          order.take(ofA);
          [since, lastOfA, dearestOfB] = [0, ofA, ofB];
        } else {
          order.take(ofB);
          since += ofB;
          dearestOfB = Math.max(dearestOfB, ofB);
        }
      }
    }),
    { numRuns: 200, seed: 20_261_121 },
  );
});

test("what is skipped costs nobody anything, and a changed weight counts from then on", () => {
  const order = createFairOrder<string>();
  const [a, b] = [aFlow({ account: "a" }), aFlow({ account: "b" })];
  order.add(a, 0, "dead", 256);
  order.add(a, 1, "a", 1_000);
  order.add(b, 0, "b", 1_000);
  while (order.peek() !== "dead") order.take();
  order.skip(256);
  order.weigh(a, { account: 3, flow: 1 });
  const taken = Array.from({ length: 400 }, () => order.take());
  const ofA = taken.filter((item) => item === "a").length;
  expect(ofA).toBeGreaterThan(297);
  expect(ofA).toBeLessThan(303);
  expect(order.size).toBe(2_000 - 400);
});

test("the latest are removed, as many as hold so many units, and nothing of what does not match", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat({ max: 5 }), fc.integer({ min: 1, max: 9 })), { maxLength: 60 }),
      fc.nat({ max: 200 }),
      (items, units) => {
        const order = createFairOrder<{ rank: number; units: number; odd: boolean }>();
        const flow = aFlow();
        for (const [index, [rank, size]] of items.entries())
          order.add(flow, rank, { rank, units: size, odd: index % 2 === 1 }, size);
        const total = order.size;
        const removed = order.removeLatest(flow, units, ({ odd }) => odd);
        const sum = removed.reduce((all, item) => all + item.units, 0);
        const odd = items.filter((_, index) => index % 2 === 1).reduce((all, [, size]) => all + size, 0);
        expect(sum).toBeGreaterThanOrEqual(Math.min(units, odd));
        // Without the least late of them they would not be enough.
        expect(sum - Math.max(0, ...removed.map((item) => item.units))).toBeLessThanOrEqual(Math.max(0, units));
        expect(removed.every((item) => item.odd)).toBe(true);
        expect(order.size).toBe(total - sum);
        const left = order.remove(flow, ({ odd }) => odd);
        const latestLeft = Math.max(-1, ...left.map(({ rank }) => rank));
        expect(removed.every(({ rank }) => rank >= latestLeft)).toBe(true);
      },
    ),
    { numRuns: 200, seed: 20_261_121 },
  );
});
