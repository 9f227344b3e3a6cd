import type { Member, Wish } from "@sluice/coordination";
import { expect, test } from "vitest";
import { type Change, merge, move, split } from "./change-wish.ts";

const rest = { now: 1_000, until: 3_601_000 };
const [a, b, c] = ["a", "b", "c"].map((id): Member => ({ id, capacity: 1, isDraining: false })) as [
  Member,
  Member,
  Member,
];

test("the upper half goes to who has the fewest lanes of the queue, then of all", () => {
  const wish = wishOf("q0", { "": "a" });
  const others = [wishOf("q1", { "": "b" })];
  expect(ownersAfter(split(""), wish, { others })).toEqual({ "0": "a", "1": "c" });
  const halves = wishOf("q0", { "0": "a", "1": "c" });
  expect(ownersAfter(split("0"), halves, { others })).toEqual({ "00": "a", "01": "b", "1": "c" });
});

test("alone, or with members that leave, both halves stay; somebody larger gets more", () => {
  const wish = wishOf("q0", { "": "a" });
  expect(ownersAfter(split(""), wish, { members: [a] })).toEqual({ "0": "a", "1": "a" });
  expect(ownersAfter(split(""), wish, { members: [a, { ...b, isDraining: true }] })).toEqual({ "0": "a", "1": "a" });
  const halves = wishOf("q0", { "0": "a", "1": "b" });
  const members = [{ ...a, capacity: 4 }, b];
  expect(ownersAfter(split("1"), halves, { members })).toEqual({ "0": "a", "10": "b", "11": "a" });
});

test("a split that was made is answered as done; one of what is not there names what is", () => {
  const halves = wishOf("q0", { "0": "a", "10": "b", "11": "b" });
  expect(after(split("1"), halves)).toBeUndefined();
  const missing = { code: "not_found", reason: "PARTITION_NOT_FOUND", field: "prefix" };
  expect(failure(split("00"), halves)).toMatchObject(missing);
  expect(failure(split(""), halves)).toMatchObject({
    ...missing,
    message: "there is no partition q0; queue q0 has: q0/0, q0/10, q0/11",
  });
});

test("five bits are a single lane", () => {
  const wish = wishOf("q0", { "1": "a", "01": "a", "001": "a", "0001": "a", "00001": "a", "00000": "a" });
  expect(failure(split("00000"), wish)).toMatchObject({ code: "precondition", reason: "PARTITION_TOO_SMALL" });
});

test("halves are merged with the owner who has less, and both must be there", () => {
  const wish = wishOf("q0", { "0": "a", "10": "b", "11": "c" });
  expect(ownersAfter(merge("1"), wish, { others: [wishOf("q1", { "": "b" })] })).toEqual({ "0": "a", "1": "c" });
  expect(ownersAfter(merge("1"), wish, { members: [a] })).toEqual({ "0": "a", "1": "b" });
  expect(failure(merge(""), wish)).toMatchObject({
    code: "precondition",
    reason: "HALVES_NOT_FOUND",
    message: "q0/0 and q0/1 must both be partitions, to be merged; queue q0 has: q0/0, q0/10, q0/11",
  });
  expect(failure(merge("00000"), wish)).toMatchObject({ reason: "HALVES_NOT_FOUND" });
  expect(after(merge("0"), wish)).toBeUndefined();
});

test("a move goes to a scheduler that is there and stays, and repeated it changes nothing", () => {
  const wish = wishOf("q0", { "0": "a", "1": "a" });
  const moved = after(move("1", "b"), wish);
  expect(moved?.partitions[1]).toEqual({ prefix: "1", ownerId: "b", restsUntil: rest.until });
  expect(after(move("1", "b"), moved as Wish)).toBeUndefined();
  expect(failure(move("1", "x"), wish)).toMatchObject({
    code: "not_found",
    reason: "MEMBER_NOT_FOUND",
    field: "to",
    message: "there is no scheduler x; there are: a, b, c",
  });
  const members = [a, { ...b, isDraining: true }];
  expect(failure(move("1", "b"), wish, { members })).toMatchObject({ reason: "MEMBER_DRAINING" });
  expect(failure(move("", "b"), wish)).toMatchObject({ reason: "PARTITION_NOT_FOUND" });
});

test("to move a partition to its owner is to make it stay there", () => {
  const wish = wishOf("q0", { "": "a" });
  expect(after(move("", "a"), wish)?.partitions).toEqual([{ prefix: "", ownerId: "a", restsUntil: rest.until }]);
});

interface Around {
  readonly others?: readonly Wish[];
  readonly members?: readonly Member[];
}

function wishOf(queue: string, owners: Readonly<Record<string, string>>): Wish {
  const partitions = Object.entries(owners).map(([prefix, ownerId]) => ({ prefix, ownerId }));
  return { queue, partitions: partitions.sort((x, y) => (x.prefix < y.prefix ? -1 : 1)), modRevision: 3 };
}

function after(change: Change, wish: Wish, { others = [], members = [a, b, c] }: Around = {}): Wish | undefined {
  return change({ wish, wishes: [wish, ...others], members, rest });
}

function ownersAfter(change: Change, wish: Wish, around?: Around): Record<string, string> {
  const changed = after(change, wish, around);
  return Object.fromEntries((changed?.partitions ?? []).map(({ prefix, ownerId }) => [prefix, ownerId]));
}

function failure(change: Change, wish: Wish, around?: Around): unknown {
  try {
    return after(change, wish, around);
  } catch (cause) {
    return cause;
  }
}
