import type { Member, Wish } from "@sluice/coordination";
import { expect, test } from "vitest";
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
  const wishes = settled({ members: [member("a")], queues }).map(withRest(now + 1));
  expect(planned({ members: [member("a"), member("b")], queues, wishes }).wishes).toEqual([]);
  const after = planned({ members: [member("b")], queues, wishes }).wishes;
  expect(after).toHaveLength(queues.length);
  // With its new owner it does not rest any more.
  expect(new Set(after.map((wish) => wish.partitions[0]?.restsUntil))).toEqual(new Set([undefined]));
});

test("what is moved rests; what rested before goes on resting; a rest that is over is no change", () => {
  const wishes = settled({ members: [member("a")], queues }).map((wish, index) =>
    withRest(now + 1 - (index % 2))(wish),
  );
  const members = [member("a"), member("b")];
  const { wishes: changed, moved } = planned({ members, queues, wishes });
  expect(moved).toHaveLength(2);
  for (const { queue, partitions } of changed) {
    expect(moved).toContain(`${queue}/-`);
    expect(partitions).toEqual([{ prefix: "", ownerId: "b", restsUntil: now + restMs }]);
  }
  const still = planned({ members: [member("a")], queues, wishes, now: now + 1_000 });
  expect(still.wishes).toEqual([]);
});

test("while an agent does not answer, only what has no owner is given one", () => {
  const wishes = settled({ members: [member("a"), member("c")], queues });
  const members = [member("a"), member("b"), member("c")];
  expect(planned({ members, queues, wishes, mayMove: false }).wishes).toEqual([]);
  const without = planned({ members: members.slice(0, 2), queues, wishes, mayMove: false });
  expect(without.wishes.map(({ queue }) => queue)).toEqual(
    wishes.filter((wish) => ownerOf(wish) === "c").map(({ queue }) => queue),
  );
});

test("halves of a busy queue are not brought together to even out the lanes", () => {
  const whole = (queue: string, ownerId: string): Wish => ({
    queue,
    partitions: [{ prefix: "", ownerId }],
    modRevision: 1,
  });
  const split: Wish = {
    queue: "hot",
    partitions: [
      { prefix: "0", ownerId: "a" },
      { prefix: "1", ownerId: "b" },
    ],
    modRevision: 1,
  };
  const wishes = [split, whole("q0", "a"), whole("q1", "a"), whole("q2", "a")];
  wishes.push(whole("q3", "b"), whole("q4", "b"), whole("q5", "b"), whole("q6", "b"));
  const members = [member("a"), member("b")];
  const groups = new Map([
    ["hot/0", "hot"],
    ["hot/1", "hot"],
  ]);
  expect(planned({ members, wishes, groups }).wishes).toEqual([]);
  expect(planned({ members, wishes }).moved).toEqual(["hot/1"]);
});

const now = 1_000_000;
const restMs = 30_000;

function withRest(restsUntil: number) {
  return (wish: Wish): Wish => ({
    ...wish,
    partitions: wish.partitions.map((partition) => ({ ...partition, restsUntil })),
  });
}

function member(id: string, parts: Partial<Member> = {}): Member {
  return { id, capacity: 1, isDraining: false, ...parts };
}

function planned(input: Partial<PlanInput>) {
  return plan({ queues: [], members: [], wishes: [], groups: new Map(), now, restMs, mayMove: true, ...input });
}

/** The wishes after as many rounds as it takes. */
function settled(input: Partial<PlanInput>): readonly Wish[] {
  let wishes = input.wishes ?? [];
  for (let round = 0; round < 20; round++) {
    // So much later each time that nothing rests any more.
    const changed = new Map(
      planned({ ...input, wishes, now: now + round * restMs }).wishes.map((wish) => [wish.queue, wish]),
    );
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
