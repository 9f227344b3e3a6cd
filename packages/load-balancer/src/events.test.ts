import type { Member, Wish } from "@sluice/coordination";
import { expect, test } from "vitest";
import { eventOfReshape, eventsOfPlan } from "./events.ts";

const now = 1_700_000_000_000;
const wishOf = (owners: Readonly<Record<string, string>>): Wish => ({
  queue: "q0",
  partitions: Object.keys(owners)
    .sort()
    .map((prefix) => ({ prefix, ownerId: owners[prefix] ?? "" })),
  modRevision: 3,
});
const members = ["a", "b", "c"].map((id): Member => ({ id, capacity: 1, isDraining: id === "c" }));

test("a partition that gets another owner says why; one that had none, or keeps its own, says nothing", () => {
  const before = wishOf({ "00": "a", "01": "c", "10": "gone", "11": "b" });
  const after = wishOf({ "00": "b", "01": "a", "10": "a", "11": "b" });
  const events = eventsOfPlan(before, after, { members, now });
  expect(events.map(({ prefix, reason, from, to }) => [prefix, reason, from, to])).toEqual([
    ["00", "evenness", "a", "b"],
    ["01", "leaving", "c", "a"],
    ["10", "gone", "gone", "a"],
  ]);
  expect(eventsOfPlan(undefined, after, { members, now })).toEqual([]);
});

test.each([
  ["split", "", wishOf({ "": "a" }), wishOf({ "0": "a", "1": "b" }), "a", "b"],
  ["move", "1", wishOf({ "0": "a", "1": "a" }), wishOf({ "0": "a", "1": "b" }), "a", "b"],
  ["merge", "", wishOf({ "0": "a", "1": "b" }), wishOf({ "": "a" }), "b", "a"],
  ["merge", "", wishOf({ "0": "a", "1": "a" }), wishOf({ "": "a" }), "a", "a"],
] as const)("a %s of partition '%s' says who gives and who gets", (kind, prefix, before, wish, from, to) => {
  const why = { rule: "backlog", figures: { waiting: 7 } } as const;
  expect(eventOfReshape({ kind, prefix, wish, why }, before, now)).toEqual({
    ...{ at: now, kind, reason: "backlog", figures: { waiting: 7 }, queue: "q0", prefix, from, to },
  });
});
