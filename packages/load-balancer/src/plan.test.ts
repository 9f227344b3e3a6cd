import type { Wish } from "@sluice/coordination";
import { expect, test } from "vitest";
import type { Member } from "./members.ts";
import { parseMember } from "./members.ts";
import { type PlanInput, plan } from "./plan.ts";

const queues = Array.from({ length: 16 }, (_, index) => `q${index}`);

test("a queue without a wish is wished whole to somebody", () => {
  const { wishes, moved } = planned({ members: [member("a")], queues: ["q0", "q1"] });
  expect(wishes).toEqual([
    { queue: "q0", partitions: [{ prefix: "", ownerId: "a" }], modRevision: 0 },
    { queue: "q1", partitions: [{ prefix: "", ownerId: "a" }], modRevision: 0 },
  ]);
  expect(moved).toEqual([]);
});

test("nothing is written when nothing changes", () => {
  const members = [member("a"), member("b"), member("c")];
  const wishes = settled({ members, queues });
  expect(planned({ members, queues, wishes })).toEqual({ wishes: [], moved: [] });
  expect(planned({ members: [...members].reverse(), queues, wishes })).toEqual({ wishes: [], moved: [] });
});

test("the partitions of a member that vanished go to others at once, and no others move", () => {
  const wishes = settled({ members: [member("a"), member("b"), member("c")], queues });
  const lost = wishes.filter((wish) => ownerOf(wish) === "b");
  const change = planned({ members: [member("a"), member("c")], queues, wishes });
  expect(change.wishes.map(({ queue }) => queue)).toEqual(lost.map(({ queue }) => queue));
  expect(change.wishes.map(ownerOf)).not.toContain("b");
  expect(change.moved).toEqual([]);
});

test("a member that joins gets its share in few moves, and only it gets any", () => {
  const wishes = settled({ members: [member("a"), member("b"), member("c")], queues });
  const members = [member("a"), member("b"), member("c"), member("d")];
  const after = settled({ members, queues, wishes });
  const moved = after.filter((wish, index) => ownerOf(wish) !== ownerOf(wishes[index]));
  expect(moved.map(ownerOf)).toEqual(moved.map(() => "d"));
  expect(moved.length).toBeGreaterThanOrEqual(3);
  expect(moved.length).toBeLessThanOrEqual(5);
});

test("a draining member is relieved of everything, and gets nothing", () => {
  const wishes = settled({ members: [member("a"), member("b")], queues });
  const after = settled({ members: [member("a"), member("b", { isDraining: true })], queues, wishes });
  expect(new Set(after.map(ownerOf))).toEqual(new Set(["a"]));
});

test("while nobody can own anything, the last wishes stand", () => {
  const wishes = settled({ members: [member("a")], queues });
  expect(planned({ members: [], queues, wishes }).wishes).toEqual([]);
  expect(planned({ members: [member("a", { isDraining: true })], queues, wishes }).wishes).toEqual([]);
});

test("who can take more gets more", () => {
  const wishes = settled({ members: [member("big", { capacity: 3 }), member("small")], queues });
  expect(wishes.filter((wish) => ownerOf(wish) === "big").length).toBeGreaterThanOrEqual(11);
});

test("a split queue keeps its shape, and its halves count half", () => {
  const wishes: Wish[] = [
    { queue: "q0", partitions: ["0", "1"].map((prefix) => ({ prefix, ownerId: "gone" })), modRevision: 7 },
    { queue: "q1", partitions: [{ prefix: "", ownerId: "gone" }], modRevision: 8 },
  ];
  const after = settled({ members: [member("a"), member("b")], queues: ["q0"], wishes });
  const [split, whole] = after;
  expect(split?.partitions.map(({ prefix }) => prefix)).toEqual(["0", "1"]);
  expect(new Set(split?.partitions.map(({ ownerId }) => ownerId)).size).toBe(1);
  expect(ownerOf(whole)).not.toBe(ownerOf(split));
});

test("a partition that rests moves only when its owner is gone", () => {
  const wishes = settled({ members: [member("a")], queues });
  const pinned = new Set(queues.map((queue) => `${queue}/-`));
  expect(planned({ members: [member("a"), member("b")], queues, wishes, pinned }).wishes).toEqual([]);
  expect(planned({ members: [member("b")], queues, wishes, pinned }).wishes).toHaveLength(queues.length);
});

test("what a member says that cannot be read is as if it were left out", () => {
  const entry = { createRevision: 1, modRevision: 1, leaseId: "1", key: "/members/a" };
  const read = (value: string) => parseMember({ ...entry, value });
  const usual = { id: "a", capacity: 1, isDraining: false };
  for (const value of ["", "null", "[]", "7", '{"capacity":"4"}', '{"capacity":-1}', '{"draining":"yes"}']) {
    expect(read(value)).toEqual(usual);
  }
  expect(read('{"capacity":4,"draining":true,"address":"x"}')).toEqual({ id: "a", capacity: 4, isDraining: true });
});

function member(id: string, parts: Partial<Member> = {}): Member {
  return { id, capacity: 1, isDraining: false, ...parts };
}

function planned(input: Partial<PlanInput>) {
  return plan({ queues: [], members: [], wishes: [], pinned: new Set(), ...input });
}

/** The wishes after as many rounds as it takes. */
function settled(input: Partial<PlanInput>): readonly Wish[] {
  let wishes = input.wishes ?? [];
  for (let round = 0; round < 20; round++) {
    const changed = new Map(planned({ ...input, wishes }).wishes.map((wish) => [wish.queue, wish]));
    if (changed.size === 0) return wishes;
    const kept = wishes.map((wish) => changed.get(wish.queue) ?? wish);
    const known = new Set(wishes.map(({ queue }) => queue));
    wishes = [...kept, ...[...changed.values()].filter(({ queue }) => !known.has(queue))];
  }
  throw new Error("the plan does not come to rest");
}

function ownerOf(wish: Wish | undefined): string | undefined {
  return wish?.partitions[0]?.ownerId;
}
