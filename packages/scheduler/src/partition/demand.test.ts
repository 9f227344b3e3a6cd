import { createFairOrder, FunctionName, homeOf, sharedQueues } from "@sluice/core";
import { aFlow } from "@sluice/core/testing";
import { expect, test } from "vitest";
import { demandOf } from "./demand.ts";
import { limitsGate } from "./gates/limits.ts";
import { allGates, type Gate } from "./gates.ts";
import { flowLimits } from "./homes.ts";
import { createMemory, type Waiting } from "./memory.ts";
import { unrouted } from "./testing.ts";

type Context = Parameters<typeof demandOf>[0];
const q0 = { queue: "q0", prefix: "", epoch: 1 } as Context["owner"];

/** Two attempts of "a" run, and of each flow some wait. */
function aPartition(roomOf: Readonly<Record<string, number>>): Context {
  const memory = createMemory();
  const order = createFairOrder<Waiting>();
  for (const [index, name] of ["a", "b", "c"].entries()) {
    const flow = aFlow({ function: FunctionName(name) });
    const seqs = [1, 2, 3, 4, 5].map((seq) => seq + index * 100);
    const origin = { ...flow, lane: 0, priority: 2, enqueuedAt: 0 } as const;
    order.add(flow, 0, { origin, flowKey: `main/${name}`, seqs, next: 0 }, seqs.length);
  }
  for (const seq of [901, 902]) {
    const origin = { ...aFlow({ function: FunctionName("a") }), lane: 0, priority: 2, enqueuedAt: 0 } as const;
    memory.activate(seq, { origin, flowKey: "main/a" }).state = "dispatched";
  }
  const gates = allGates([{ room: ({ origin }) => roomOf[origin.functionName] ?? Number.POSITIVE_INFINITY }]);
  const nobody = { peek: () => undefined, knows: () => true };
  const functions = nobody as unknown as Context["functions"];
  const accounts = nobody as unknown as Context["accounts"];
  const routes = { of: () => unrouted, ageMs: () => 0 };
  return { memory, order, gates, functions, accounts, routes, queues: sharedQueues(), owner: q0 };
}

/** The same, where "a" may have so many running in the whole cluster; the limits are those of production. */
function aLimited(concurrencyMax: number, where: (home: { queue: string; lane: number }) => Context["owner"]): Context {
  const settings = { concurrencyMax, rateMax: 0, rateBurst: 0 };
  const record = { settings, limitsChangedAt: 0 };
  const functions = {
    peek: ({ functionName }: { functionName: string }) => (functionName === "a" ? record : undefined),
  } as unknown as Context["functions"];
  const a = aFlow({ function: FunctionName("a") });
  const home = homeOf(a, { function: settings, account: undefined });
  if (home === undefined) throw new Error("it is limited");
  expect(home.lane).not.toBe(0);
  const owner = where(home);
  const context = { ...aPartition({}), functions, owner };
  const gate: Gate = limitsGate({
    ...{ now: () => 0, queue: owner.queue, prefix: owner.prefix, activeOf: context.memory.activeOf },
    limitsOf: ({ origin, function: known }) => flowLimits(context, origin, known),
    activeOfAccount: () => 0,
    reservedOf: () => undefined,
    runningElsewhere: () => 0,
    allAnswered: () => true,
  });
  return { ...context, gates: allGates([gate]) };
}

test("what runs and everything that waits is wanted where nothing holds it back", () => {
  expect(demandOf(aPartition({}))).toEqual({ running: 2, wanted: 17 });
});

test("of what waits behind a limit, a window or a pause only as much is wanted as they let through", () => {
  expect(demandOf(aPartition({ a: 1, b: 0, c: -3 }))).toEqual({ running: 2, wanted: 3 });
});

test("of a limited flow as much is wanted as its limit lets through, whichever lane it lives in", () => {
  // Two of its attempts run.
  expect(demandOf(aLimited(3, ({ queue }) => ({ ...q0, queue })))).toEqual({ running: 2, wanted: 2 + 1 + 5 + 5 });
});

test("a limited flow that waits to be moved to its home is not wanted here", () => {
  const elsewhere = (home: { queue: string }) => (home.queue === "q0" ? { ...q0, queue: "q1" } : q0);
  expect(demandOf(aLimited(100, elsewhere))).toEqual({ running: 2, wanted: 2 + 5 + 5 });
});
