import { FakeClock } from "@sluice/core/testing";
import { expect, test } from "vitest";
import { type ClusterEvent, eventsAgeMaxMs, eventsMax, eventWrites, pruneEvents, readEvents } from "./events.ts";
import { eventKey } from "./keys.ts";
import { createMemoryCoordinator } from "./memory.ts";
import { readWishes, type Wish, writeWish } from "./wishes.ts";

const now = 1_700_000_000_000;
const anEvent = (more: Partial<ClusterEvent> = {}): ClusterEvent => ({
  ...{ at: now, kind: "split", reason: "backlog", figures: { backlogAgeMs: 12_000 } },
  ...{ queue: "q0", prefix: "", from: "s1", to: "s2" },
  ...more,
});

test("events are read in the order in which they happened, and what cannot be read is left out", async () => {
  await using coordinator = createMemoryCoordinator({ clock: new FakeClock() });
  const leader = anEvent({
    // By a clock that is wrong.
    at: now + 50_000,
    kind: "leader",
    reason: "elected",
    queue: "",
    from: "",
    to: "s1",
    figures: {},
  });
  const route = anEvent({ at: now + 5, kind: "route opening", flow: "acme/train", by: "ops", prefix: "" });
  for (const event of [leader, anEvent(), route]) await coordinator.commit([], eventWrites([event]));
  const strange = ["", "null", "[]", '{"at":1}', '{"at":"x","kind":"split"}'];
  for (const [index, value] of strange.entries()) {
    await coordinator.commit([], [{ op: "put", key: eventKey(`0/${index}`), value }]);
  }
  expect(await readEvents(coordinator)).toEqual([leader, anEvent(), route]);
});

test("what a later release writes is read as other", async () => {
  await using coordinator = createMemoryCoordinator({ clock: new FakeClock() });
  const value = JSON.stringify({ ...anEvent(), kind: "weaved", figures: { a: 1, b: "x" } });
  await coordinator.commit([], [{ op: "put", key: eventKey("1"), value }]);
  expect(await readEvents(coordinator)).toEqual([anEvent({ kind: "other", figures: { a: 1 } })]);
});

test("an event is written with its change or not at all", async () => {
  await using coordinator = createMemoryCoordinator({ clock: new FakeClock() });
  const wish: Wish = { queue: "q0", partitions: [{ prefix: "", ownerId: "s1" }], modRevision: 0 };
  expect(await writeWish(coordinator, wish, [], eventWrites([anEvent()]))).toBe(true);
  const late = { ...wish, partitions: [{ prefix: "", ownerId: "s2" }] };
  expect(await writeWish(coordinator, late, [], eventWrites([anEvent({ at: now + 1 })]))).toBe(false);
  expect(await readEvents(coordinator)).toHaveLength(1);
  expect((await readWishes(coordinator))[0]?.partitions[0]?.ownerId).toBe("s1");
});

test("the last thousand of a day are kept, by whoever leads", async () => {
  await using coordinator = createMemoryCoordinator({ clock: new FakeClock() });
  const at = (index: number) => now - eventsMax * 1_000 + index * 1_000;
  for (let index = 0; index < eventsMax + 250; index += 50) {
    const events = Array.from({ length: 50 }, (_, more) => anEvent({ at: at(index + more) }));
    await coordinator.commit([], eventWrites(events));
  }
  await pruneEvents(coordinator, now, [{ key: "/leader", is: "present" }]);
  expect(await readEvents(coordinator)).toHaveLength(eventsMax + 250);
  await pruneEvents(coordinator, now, []);
  const kept = await readEvents(coordinator);
  expect([kept.length, kept[0]?.at]).toEqual([eventsMax, at(250)]);
  await pruneEvents(coordinator, at(300) + eventsAgeMaxMs, []);
  expect((await readEvents(coordinator))[0]?.at).toBe(at(300));
});
