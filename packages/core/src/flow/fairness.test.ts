import fc from "fast-check";
import { expect, test } from "vitest";
import { type Flow, flowKey } from "../ids.ts";
import { aFlow } from "../testing/index.ts";
import { createFairOrder, type FairOrder } from "./fairness.ts";
import { urgency } from "./urgency.ts";

const flowOf = (account: number, name: number): Flow => aFlow({ account: `a${account}`, function: `f${name}` });

/** Takes `count` items and returns which flow each came from. */
function takeFlows(order: FairOrder<Flow>, count: number): string[] {
  return Array.from({ length: count }, () => order.take()).map((flow) => (flow ? flowKey(flow) : "nobody"));
}
const countOf = (keys: readonly string[], prefix: string) => keys.filter((key) => key.startsWith(prefix)).length;
function fill(order: FairOrder<Flow>, flow: Flow, count: number) {
  for (let index = 0; index < count; index++) order.add(flow, index, flow);
}

test("a flow with a million waiting tasks hides nobody behind it", () => {
  const order = createFairOrder<Flow>();
  fill(order, flowOf(1, 1), 10_000);
  fill(order, flowOf(2, 1), 1);
  expect(takeFlows(order, 2)).toContain("a2/f1");
});

test("an account with many flows gets no more than one with a single flow", () => {
  const order = createFairOrder<Flow>();
  for (let name = 0; name < 50; name++) fill(order, flowOf(1, name), 10);
  fill(order, flowOf(2, 0), 500);
  const taken = takeFlows(order, 100);
  expect([countOf(taken, "a1/"), countOf(taken, "a2/")]).toEqual([50, 50]);
});

test("shares follow the weights of accounts, and inside an account those of flows", () => {
  const weights: Record<string, { account: number; flow: number }> = {
    "a1/f1": { account: 3, flow: 1 },
    "a1/f2": { account: 3, flow: 2 },
    "a2/f1": { account: 1, flow: 1 },
  };
  const order = createFairOrder<Flow>({ weightOf: (flow) => weights[flowKey(flow)] ?? { account: 1, flow: 1 } });
  for (const flow of [flowOf(1, 1), flowOf(1, 2), flowOf(2, 1)]) fill(order, flow, 1_000);
  const taken = takeFlows(order, 400);
  expect(["a1/f1", "a1/f2", "a2/f1"].map((key) => countOf(taken, key))).toEqual([100, 200, 100]);
});

test("inside a flow an old task of low priority overtakes newer ones of high priority", () => {
  const order = createFairOrder<string>();
  const flow = flowOf(1, 1);
  const add = (name: string, enqueuedAt: number, priority: 0 | 1 | 2 | 3) =>
    order.add(flow, urgency({ enqueuedAt, priority }), name);
  add("low, at 0 s", 0, 3);
  add("urgent, at 599 s", 599_000, 0);
  add("normal, at 542 s", 542_000, 2);
  add("urgent, at 601 s", 601_000, 0);
  expect([order.take(), order.take(), order.take(), order.take()]).toEqual([
    "urgent, at 599 s",
    "low, at 0 s",
    "urgent, at 601 s",
    "normal, at 542 s",
  ]);
});

test("nobody saves up while idle or blocked", () => {
  const order = createFairOrder<Flow>();
  fill(order, flowOf(1, 1), 1_000);
  fill(order, flowOf(2, 1), 1_000);
  order.block(flowOf(2, 1));
  takeFlows(order, 100);
  order.unblockAll();
  fill(order, flowOf(3, 1), 1_000);
  const taken = takeFlows(order, 30);
  expect(["a1/", "a2/", "a3/"].map((prefix) => countOf(taken, prefix))).toEqual([10, 10, 10]);
});

test("a flow that runs empty after each task does not escape its share", () => {
  const order = createFairOrder<Flow>();
  const sly = flowOf(1, 1);
  fill(order, flowOf(2, 1), 1_000);
  let served = 0;
  for (let turn = 0; turn < 100; turn++) {
    if (order.sizeOf(sly) === 0) fill(order, sly, 1);
    if (order.take()?.accountId === sly.accountId) served += 1;
  }
  expect(served).toBe(50);
});

test("what attempts cost beyond being dispatched counts too", () => {
  const order = createFairOrder<Flow>();
  fill(order, flowOf(1, 1), 1_000);
  fill(order, flowOf(2, 1), 1_000);
  takeFlows(order, 2);
  order.charge(flowOf(1, 1), 10);
  expect(countOf(takeFlows(order, 10), "a1/")).toBe(0);
});

test("removed items are gone and come back in their order", () => {
  const order = createFairOrder<number>();
  for (const item of [5, 3, 4, 1, 2]) order.add(flowOf(1, 1), item, item);
  expect(order.remove(flowOf(1, 1), (item) => item > 2)).toEqual([3, 4, 5]);
  expect([...order.flows()]).toEqual([{ flow: flowOf(1, 1), size: 2, items: 2 }]);
  expect([order.take(), order.take(), order.take(), order.size]).toEqual([1, 2, undefined, 0]);
});

test("an item of many units is picked unit by unit, in its place, and leaves with the last one", () => {
  const order = createFairOrder<string>();
  order.add(flowOf(1, 1), 2, "late");
  order.add(flowOf(1, 1), 1, "block", 3);
  order.add(flowOf(2, 1), 1, "other");
  expect([order.size, order.sizeOf(flowOf(1, 1))]).toEqual([5, 4]);
  expect(Array.from({ length: 6 }, () => order.take())).toEqual([
    "block",
    "other",
    "block",
    "block",
    "late",
    undefined,
  ]);
  expect(order.size).toBe(0);
});

const weightsArb = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 2, maxLength: 8 });

test("between two picks of a busy account, another is picked at most ⌊its weight / mine⌋ + 1 times", () => {
  fc.assert(
    fc.property(weightsArb, (weights) => {
      const order = createFairOrder<Flow>({
        weightOf: (flow) => ({ account: weights[Number(flow.accountId.slice(1))] ?? 1, flow: 1 }),
      });
      weights.forEach((_, account) => {
        fill(order, flowOf(account, 1), 300);
      });
      const taken = takeFlows(order, 200);
      return weights.every((mine, account) => {
        const since = new Array<number>(weights.length).fill(0);
        return taken.every((key) => {
          const picked = Number(key.slice(1, key.indexOf("/")));
          since[picked] = picked === account ? 0 : (since[picked] ?? 0) + 1;
          if (picked === account) since.fill(0);
          return since.every(
            (count, other) => other === account || count <= Math.floor((weights[other] ?? 1) / mine) + 1,
          );
        });
      });
    }),
  );
});

test("the same bound holds between the flows of one account", () => {
  fc.assert(
    fc.property(weightsArb, (weights) => {
      const order = createFairOrder<Flow>({
        weightOf: (flow) => ({ account: 1, flow: weights[Number(flow.functionName.slice(1))] ?? 1 }),
      });
      weights.forEach((_, name) => {
        fill(order, flowOf(1, name), 300);
      });
      const taken = takeFlows(order, 200);
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      return weights.every((weight, name) => {
        const share = (200 * weight) / total;
        return Math.abs(countOf(taken, `a1/f${name}`) - share) <= weights.length;
      });
    }),
  );
});

type Step =
  | { readonly do: "add"; readonly flow: Flow; readonly urgency: number; readonly units: number }
  | { readonly do: "take" | "unblockAll" }
  | { readonly do: "block" | "unblock" | "charge" | "remove"; readonly flow: Flow };
const flows = fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 3 })).map(([a, f]) => flowOf(a, f));
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constant("add" as const),
        flow: flows,
        urgency: fc.nat(20),
        units: fc.integer({ min: 1, max: 3 }),
      }),
    },
    {
      weight: 5,
      arbitrary: fc.record({ do: fc.constantFrom("take" as const, "take" as const, "unblockAll" as const) }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constantFrom("block", "unblock", "charge", "remove"), flow: flows }),
    },
  ),
  { maxLength: 200 },
) as fc.Arbitrary<Step[]>;

test("whatever happens, it gives what a flow with room has, the most urgent first, and each unit once", () => {
  fc.assert(
    fc.property(steps, (script) => {
      const order = createFairOrder<{ readonly key: string; readonly urgency: number; readonly id: number }>();
      const waiting = new Map<string, { urgency: number; id: number; units: number }[]>();
      const blocked = new Set<string>();
      const itemsOf = (key: string) => waiting.get(key) ?? [];
      script.forEach((step, id) => {
        const key = "flow" in step ? flowKey(step.flow) : "";
        switch (step.do) {
          case "add":
            order.add(step.flow, step.urgency, { key, urgency: step.urgency, id }, step.units);
            waiting.set(key, [...itemsOf(key), { urgency: step.urgency, id, units: step.units }]);
            break;
          case "take": {
            const peeked = order.peek();
            const taken = order.take();
            expect(taken).toBe(peeked);
            const open = [...waiting].filter(([name, items]) => items.length > 0 && !blocked.has(name));
            expect(taken === undefined).toBe(open.length === 0);
            if (taken === undefined) break;
            expect(blocked.has(taken.key)).toBe(false);
            const [first, ...rest] = itemsOf(taken.key).sort((a, b) => a.urgency - b.urgency || a.id - b.id);
            expect(taken.id).toBe(first?.id);
            const left = (first?.units ?? 0) - 1;
            waiting.set(taken.key, first && left > 0 ? [{ ...first, units: left }, ...rest] : rest);
            break;
          }
          case "block":
            order.block(step.flow);
            blocked.add(key);
            break;
          case "unblock":
            order.unblock(step.flow);
            blocked.delete(key);
            break;
          case "unblockAll":
            order.unblockAll();
            blocked.clear();
            break;
          case "charge":
            order.charge(step.flow, 3);
            break;
          case "remove": {
            const removed = order.remove(step.flow, (item) => item.id % 2 === 0).map((item) => item.id);
            expect(removed.sort()).toEqual(
              itemsOf(key)
                .map((item) => item.id)
                .filter((item) => item % 2 === 0)
                .sort(),
            );
            waiting.set(
              key,
              itemsOf(key).filter((item) => item.id % 2 !== 0),
            );
            break;
          }
        }
        const units = [...waiting.values()].flat().map((item) => item.units);
        expect(order.size).toBe(units.reduce((sum, each) => sum + each, 0));
      });
    }),
    { numRuns: 300 },
  );
});

test("of 20,000 flows in 200 accounts none is served twice before all are served once", () => {
  const order = createFairOrder<Flow>();
  const many = Array.from({ length: 20_000 }, (_, index) => flowOf(index % 200, index));
  for (const flow of [...many, ...many]) order.add(flow, 0, flow);
  const firstRound = new Set(many.map(() => order.take()));
  expect(firstRound.size).toBe(20_000);
  expect(order.size).toBe(20_000);
});
