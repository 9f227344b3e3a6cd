import fc from "fast-check";
import { expect, test } from "vitest";
import { offerTo, type SlotOwner } from "./offers.ts";

const slots = 64;
const idle: SlotOwner = { used: 0, isActive: false };
const active = (used: number): SlotOwner => ({ used, isActive: true });
const offers = (owners: readonly SlotOwner[], of = slots) =>
  owners.map((owner, index) =>
    offerTo(
      owner,
      owners.filter((_, other) => other !== index),
      of,
    ),
  );

test("the only owner is offered every slot", () => {
  expect(offers([idle])).toEqual([64]);
  expect(offers([active(10)])).toEqual([64]);
});

test("three owners that begin at the same time are offered no more than fits", () => {
  expect(offers([idle, idle, idle])).toEqual([22, 22, 22]);
  expect(offers([active(0), active(0), active(0)])).toEqual([22, 22, 22]);
});

test("one that works alone is offered what the others do not use, but for one slot", () => {
  expect(offers([active(22), idle, idle])[0]).toBe(63);
  expect(offers([active(3), idle, idle], 4)[0]).toBe(4);
});

test("active owners that keep to their offers exceed the slots by less than one each", () => {
  const owners = fc.array(fc.nat(40).map(active), { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(owners, fc.integer({ min: 1, max: 200 }), (all, of) => {
      const used = all.reduce((sum, owner) => sum + owner.used, 0);
      if (used > of) return true;
      const told = offers(all, of).reduce((sum, offer, index) => sum + Math.max(offer, all[index]?.used ?? 0), 0);
      return told < of + all.length;
    }),
  );
});

test("an owner that has everything gives way to another that wants as much, and no slot stays empty", () => {
  let used = [64, 0];
  for (let round = 0; round < 40; round++) {
    // An eighth of the attempts ends between two reports; then both fill up to what they are offered, the hog first.
    used = used.map((count) => count - Math.ceil(count / 8));
    const [hog = 0, late = 0] = offers(used.map(active));
    const first = Math.min(64 - (used[1] ?? 0), Math.max(used[0] ?? 0, hog));
    used = [first, Math.min(64 - first, Math.max(used[1] ?? 0, late))];
  }
  expect(used[1]).toBeGreaterThanOrEqual(24);
  expect((used[0] ?? 0) + (used[1] ?? 0)).toBeGreaterThan(58);
});

test("an owner that has a little to do now and then costs the others few slots", () => {
  expect(offers([active(58), active(1)])[0]).toBeGreaterThanOrEqual(59);
});
