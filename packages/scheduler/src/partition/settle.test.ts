import { aFlow } from "@sluice/core/testing";
import type { TaskWrite } from "@sluice/store";
import { expect, test } from "vitest";
import type { PartitionPort } from "../agents/link.ts";
import type { PartitionContext } from "./context.ts";
import { pick } from "./pick.ts";
import { rowsWorld } from "./rows.fixture.ts";
import { settleLoop } from "./settle.ts";

/** Three writes, and a store that answers so. */
async function settling(answer: "stale" | readonly boolean[], { park = false } = {}) {
  const world = await rowsWorld();
  if (park) world.memory.activate(2, { origin: { ...aFlow(), lane: 0, priority: 2, enqueuedAt: 0 }, flowKey: "f" });
  const reasons: string[] = [];
  const context: PartitionContext = {
    ...world.context,
    config: { ...world.context.config, batchSize: 10 },
    store: { ...world.context.store, lanes: { ...world.context.store.lanes, write: async () => answer as boolean[] } },
    stepDown: (reason) => reasons.push(reason),
  };
  for (const seq of [1, 2, 3]) {
    const kind = park && seq === 2 ? ({ kind: "park", nextAttempt: 1 } as const) : ({ kind: "settle" } as const);
    const write = { ...kind, seq, attempt: 1, lane: 0, status: "Succeeded", result: new Uint8Array() };
    context.pending.push({ write: write as unknown as TaskWrite, confirmTo: undefined });
  }
  world.run(settleLoop(context, {} as PartitionPort));
  await world.clock.advance(10);
  const counted = async (name: "staleWrites" | "refusedWrites") =>
    (await context.metrics[name].get()).values.reduce((sum, { value }) => sum + value, 0);
  return { world, reasons, stale: await counted("staleWrites"), refused: await counted("refusedWrites") };
}

test("a batch that the floor refuses counts with every write, and ends the ownership", async () => {
  expect(await settling("stale")).toMatchObject({
    reasons: ["a write was refused by the floor"],
    stale: 3,
    refused: 0,
  });
});

test("a write whose guard did not hold is not stale", async () => {
  expect(await settling([true, false, true])).toMatchObject({ reasons: [], stale: 0, refused: 1 });
});

test("a row that was to be parked as it is, and was announced again since it was read, has its turn again", async () => {
  const { world } = await settling([true, false, true], { park: true });
  expect(pick(world.context).map(({ seq }) => seq)).toEqual([2]);
  const parked = await settling([true, true, true], { park: true });
  expect(parked.world.memory.has(2)).toBe(false);
});
