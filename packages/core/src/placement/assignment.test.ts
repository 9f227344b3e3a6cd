import fc from "fast-check";
import { expect, test } from "vitest";
import { type Assignable, type Assignee, assignPartitions } from "./assignment.ts";

const membersOf = (count: number, capacity = 1): Assignee[] =>
  Array.from({ length: count }, (_, index) => ({ id: `s${index}`, capacity }));
const partitionsOf = (count: number): Assignable[] =>
  Array.from({ length: count }, (_, index) => ({ key: `q${index}/-`, load: 1 }));
const countsOf = (owners: ReadonlyMap<string, string>, members: readonly Assignee[]) =>
  members.map(({ id }) => [...owners.values()].filter((owner) => owner === id).length);
const movesBetween = (before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>) =>
  [...after].filter(([key, owner]) => before.has(key) && before.get(key) !== owner).map(([key]) => key);

/** Applies the policy to its own answer until nothing moves. */
function settle(partitions: readonly Assignable[], members: readonly Assignee[], start: ReadonlyMap<string, string>) {
  let current = start;
  for (let round = 0; round < 500; round++) {
    const next = assignPartitions({ partitions, members, current });
    if ([...next].every(([key, owner]) => current.get(key) === owner)) return { current: next, round };
    current = next;
  }
  throw new Error("never comes to rest");
}

const members = fc
  .uniqueArray(fc.integer({ min: 0, max: 30 }), { minLength: 1, maxLength: 8 })
  .chain((ids) =>
    fc.tuple(
      ...ids.map((id) => fc.record({ id: fc.constant<string>(`s${id}`), capacity: fc.integer({ min: 1, max: 4 }) })),
    ),
  );
const partitions = fc
  .array(fc.integer({ min: 1, max: 5 }), { maxLength: 32 })
  .map((loads) => loads.map((load, index) => ({ key: `q${index}/-`, load })));
const currents = fc
  .array(fc.tuple(fc.integer({ min: 0, max: 31 }), fc.integer({ min: 0, max: 30 })), { maxLength: 32 })
  .map((pairs) => new Map(pairs.map(([partition, member]) => [`q${partition}/-`, `s${member}`])));

test("eight queues on three schedulers are spread evenly from the start", () => {
  const three = membersOf(3);
  const owners = assignPartitions({ partitions: partitionsOf(8), members: three, current: new Map() });
  expect(countsOf(owners, three).sort()).toEqual([2, 3, 3]);
});

test("capacity decides how much a member gets", () => {
  const unequal = [
    { id: "small", capacity: 1 },
    { id: "large", capacity: 3 },
  ];
  const owners = assignPartitions({ partitions: partitionsOf(32), members: unequal, current: new Map() });
  expect(countsOf(owners, unequal)).toEqual([8, 24]);
});

test("when a member dies only its partitions move", () => {
  const before = assignPartitions({ partitions: partitionsOf(32), members: membersOf(4), current: new Map() });
  const after = assignPartitions({ partitions: partitionsOf(32), members: membersOf(3), current: before });
  const orphans = [...before].filter(([, owner]) => owner === "s3").map(([key]) => key);
  expect(movesBetween(before, after)).toEqual(orphans);
});

test("a new member is filled by a few moves at a time, to its share and no further", () => {
  const before = assignPartitions({ partitions: partitionsOf(32), members: membersOf(3), current: new Map() });
  const first = assignPartitions({ partitions: partitionsOf(32), members: membersOf(4), current: before });
  expect(movesBetween(before, first)).toHaveLength(2);
  const { current } = settle(partitionsOf(32), membersOf(4), before);
  expect(countsOf(current, membersOf(4))[3]).toBeGreaterThanOrEqual(7);
  expect(movesBetween(before, current).length).toBeLessThanOrEqual(9);
});

test("a member within the dead band gives nothing away", () => {
  const current = new Map(partitionsOf(40).map(({ key }, index) => [key, index < 21 ? "s0" : "s1"]));
  expect(assignPartitions({ partitions: partitionsOf(40), members: membersOf(2), current })).toEqual(
    new Map([...current].sort(([a], [b]) => (a < b ? -1 : 1))),
  );
});

test("a pinned partition stays where it is", () => {
  const current = new Map(partitionsOf(8).map(({ key }) => [key, "s0"]));
  const pinned = new Set([...current.keys()].slice(1));
  const owners = assignPartitions({ partitions: partitionsOf(8), members: membersOf(2), current, pinned });
  expect(movesBetween(current, owners)).toEqual(["q0/-"]);
});

test("partitions of one group are not brought together by evening out, and find different members when both are orphans", () => {
  const rest = partitionsOf(7).map((partition) => ({ ...partition, load: 2 }));
  const halves = ["0", "1"].map((half) => ({ key: `hot/${half}`, load: 1 }));
  const grouped = halves.map((half) => ({ ...half, group: "hot" }));
  // s1 has too much, and only a half is small enough to move.
  const current = new Map([...rest.map(({ key }, index) => [key, index < 3 ? "s0" : "s1"] as const)]);
  current.set("hot/0", "s0").set("hot/1", "s1");
  const both = membersOf(2);
  const together = assignPartitions({ partitions: [...rest, ...halves], members: both, current });
  expect(movesBetween(current, together)).toEqual(["hot/1"]);
  const apart = assignPartitions({ partitions: [...rest, ...grouped], members: both, current });
  expect(movesBetween(current, apart)).toEqual([]);

  for (const name of ["a", "b", "c", "d", "e", "f"]) {
    const orphans = ["0", "1"].map((half) => ({ key: `${name}/${half}`, load: 1, group: name }));
    const placed = assignPartitions({ partitions: [...rest, ...orphans], members: membersOf(3), current: new Map() });
    expect(placed.get(`${name}/0`)).not.toBe(placed.get(`${name}/1`));
  }
});

test("without members nothing is assigned", () => {
  expect(assignPartitions({ partitions: partitionsOf(3), members: [], current: new Map() }).size).toBe(0);
});

test("every partition has one living owner, whatever the order of the input", () => {
  fc.assert(
    fc.property(partitions, members, currents, (all, some, current) => {
      const owners = assignPartitions({ partitions: all, members: some, current });
      const reversed = assignPartitions({ partitions: [...all].reverse(), members: [...some].reverse(), current });
      expect([...reversed]).toEqual([...owners]);
      const ids = new Set(some.map(({ id }) => id));
      return owners.size === all.length && [...owners.values()].every((owner) => ids.has(owner));
    }),
  );
});

test("partitions with a living owner move two at a time per member, and not while others are orphaned", () => {
  fc.assert(
    fc.property(partitions, members, currents, (all, some, current) => {
      const owners = assignPartitions({ partitions: all, members: some, current });
      const ids = new Set(some.map(({ id }) => id));
      const ownerOf = (key: string) => current.get(key) ?? "";
      const moved = movesBetween(current, owners).filter((key) => ids.has(ownerOf(key)));
      const hasOrphans = all.some(({ key }) => current.has(key) && !ids.has(ownerOf(key)));
      return (
        !(hasOrphans && moved.length > 0) &&
        some.every(
          ({ id }) =>
            moved.filter((key) => ownerOf(key) === id).length <= 2 &&
            moved.filter((key) => owners.get(key) === id).length <= 2,
        )
      );
    }),
  );
});

test("it comes to rest, and then no member above the dead band could give a partition away with profit", () => {
  fc.assert(
    fc.property(partitions, members, currents, (all, some, start) => {
      const { current } = settle(all, some, start);
      const relative = (id: string, added = 0) => {
        const load = all.filter(({ key }) => current.get(key) === id).reduce((total, { load }) => total + load, added);
        return load / (some.find((member) => member.id === id)?.capacity ?? 1);
      };
      const fair =
        all.reduce((total, { load }) => total + load, 0) / some.reduce((total, { capacity }) => total + capacity, 0);
      return all.every(({ key, load }) => {
        const from = current.get(key) ?? "";
        if (relative(from) <= 1.1 * fair) return true;
        return some.every(({ id }) => id === from || relative(id, load) >= relative(from));
      });
    }),
  );
});
