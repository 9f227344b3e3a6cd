import { FakeClock } from "@sluice/core/testing";
import { expect, test } from "vitest";
import { slotsKey } from "./keys.ts";
import { createMemoryCoordinator } from "./memory.ts";
import { readSlots, writeSlots } from "./slots.ts";

test("what members say that they need is read by everybody, and goes with their leases", async () => {
  const clock = new FakeClock();
  await using coordinator = createMemoryCoordinator({ clock });
  const lease = await coordinator.grant(1_000);
  await writeSlots(coordinator, { memberId: "s1", wanted: 70, running: 30 }, lease);
  expect(await readSlots(coordinator)).toEqual([{ memberId: "s1", wanted: 70, running: 30 }]);
  await clock.advance(1_001);
  expect(await readSlots(coordinator)).toEqual([]);
});

test("what cannot be read is left out", async () => {
  await using coordinator = createMemoryCoordinator({ clock: new FakeClock() });
  for (const [id, value] of [
    "",
    "null",
    "7",
    "{}",
    '{"wanted":-1,"running":0}',
    '{"wanted":1.5,"running":0}',
  ].entries())
    await coordinator.commit([], [{ op: "put", key: slotsKey(`s${id}`), value }]);
  await coordinator.commit([], [{ op: "put", key: slotsKey("good"), value: '{"wanted":2,"running":1,"new":true}' }]);
  expect(await readSlots(coordinator)).toEqual([{ memberId: "good", wanted: 2, running: 1 }]);
});
