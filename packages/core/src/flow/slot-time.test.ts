import { expect, test } from "vitest";
import type { Flow } from "../ids.ts";
import { aFlow } from "../testing/index.ts";
import { createFairOrder } from "./fairness.ts";
import { createExpectedCosts, slotCost } from "./slot-time.ts";

const long = aFlow({ account: "long" });
const short = aFlow({ account: "short" });

/** Slots that are always full: who gets how much of their time. */
function slotTime(runMs: (flow: Flow) => number, weights = { long: 1, short: 1 }) {
  const order = createFairOrder<Flow>({
    weightOf: ({ accountId }) => ({ account: weights[accountId as "long" | "short"], flow: 1 }),
  });
  const costs = createExpectedCosts();
  const used = { long: 0, short: 0 };
  for (const flow of [long, short]) order.add(flow, 0, flow, 1_000_000);
  const slots = Array.from({ length: 20 }, (): { endsAt: number; flow: Flow | undefined; cost: number } => ({
    endsAt: 0,
    flow: undefined,
    cost: 0,
  }));
  for (let picks = 0; picks < 20_000; picks++) {
    const slot = slots.reduce((first, each) => (each.endsAt < first.endsAt ? each : first));
    if (slot.flow) {
      const cost = slotCost(runMs(slot.flow));
      order.charge(slot.flow, cost - slot.cost);
      costs.ran(slot.flow.accountId, cost);
    }
    const flow = order.peek();
    if (!flow) break;
    slot.cost = costs.of(flow.accountId);
    order.take(slot.cost);
    used[flow.accountId as "long" | "short"] += runMs(flow);
    slot.flow = flow;
    slot.endsAt += runMs(flow);
  }
  return used;
}

test("an account whose tasks run a hundred times longer gets half of the slots, not all", () => {
  const used = slotTime((flow) => (flow === long ? 10_000 : 100));
  // A short task pays for its way through the scheduler as well: as much again as for its 100 ms.
  expect(used.long / used.short).toBeGreaterThan(0.8);
  expect(used.long / used.short).toBeLessThan(2.2);
});

test("slot time follows the weights of accounts", () => {
  const used = slotTime((flow) => (flow === long ? 10_000 : 1_000), { long: 1, short: 3 });
  expect(used.short / used.long).toBeGreaterThan(2.4);
  expect(used.short / used.long).toBeLessThan(3.6);
});

test("an attempt that took no time costs one unit, and one with a wrong clock does not shut its flow out", () => {
  expect([slotCost(0), slotCost(-5), slotCost(1_000)]).toEqual([1, 1, 11]);
  expect(slotCost(1e15)).toBe(36_001);
});

test("what a flow is expected to cost follows its attempts, and starts at one", () => {
  const costs = createExpectedCosts();
  expect(costs.of("f")).toBe(1);
  for (let run = 0; run < 100; run++) costs.ran("f", 50);
  expect(costs.of("f")).toBeCloseTo(50, 0);
});
