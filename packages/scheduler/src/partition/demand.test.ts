import { createFairOrder, FunctionName } from "@sluice/core";
import { aFlow } from "@sluice/core/testing";
import { expect, test } from "vitest";
import { demandOf } from "./demand.ts";
import { allGates } from "./gates.ts";
import { createMemory, type Waiting } from "./memory.ts";

/** Two attempts of "a" run, and of each flow some wait. */
function aPartition(roomOf: Readonly<Record<string, number>>) {
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
  const functions = { peek: () => undefined } as unknown as Parameters<typeof demandOf>[0]["functions"];
  return { memory, order, gates, functions };
}

test("what runs and everything that waits is wanted where nothing holds it back", () => {
  expect(demandOf(aPartition({}))).toEqual({ running: 2, wanted: 17 });
});

test("of what waits behind a limit, a window or a pause only as much is wanted as they let through", () => {
  expect(demandOf(aPartition({ a: 1, b: 0, c: -3 }))).toEqual({ running: 2, wanted: 3 });
});
