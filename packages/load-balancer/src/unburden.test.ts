import type { Member, Wish } from "@sluice/coordination";
import { partitionKey } from "@sluice/core";
import { expect, test } from "vitest";
import { defaultHeatConfig, followHeat } from "./heat.ts";
import { defaultOwnerLoadConfig, followOwnerLoads, type OwnerLoads } from "./owner-loads.ts";
import { defaultReshapeConfig } from "./reshape.ts";
import { unburden } from "./unburden.ts";

const config = { ...defaultHeatConfig, ...defaultReshapeConfig, ...defaultOwnerLoadConfig };
const { ownerLoadForMs, restMs } = config;
const wall = 1_700_000_000_000;
const members = ["a", "b", "c"].map((id): Member => ({ id, capacity: 1, isDraining: false }));
const wishOf = (queue: string, owners: Readonly<Record<string, string>>): Wish => ({
  queue,
  partitions: Object.entries(owners).map(([prefix, ownerId]) => ({ prefix, ownerId })),
  modRevision: 3,
});
const wholes = [wishOf("q0", { "": "a" }), wishOf("q1", { "": "a" }), wishOf("q2", { "": "b" })];
const rates = { "q0/-": 300, "q1/-": 600 };

test("the busiest partition of an owner that is too busy goes to the member with the least to do", () => {
  const change = changed({ wishes: wholes, busy: { a: 0.9, b: 0.3, c: 0.1 }, rates });
  expect(change).toMatchObject({ kind: "move", prefix: "", why: { rule: "load", figures: { busy: 0.9 } } });
  const partitions = [{ prefix: "", ownerId: "c", restsUntil: wall + restMs, heldAt: 600 }];
  expect(change?.wish).toEqual({ queue: "q1", partitions, modRevision: 3, shapeRestsUntil: wall + restMs });
});

test("a partition that is alone is split, and its halves note the rate", () => {
  const alone = [wishOf("q0", { "": "a" }), wishOf("q1", { "": "b" })];
  const change = changed({ wishes: alone, busy: { a: 0.95, b: 0.2, c: 0.1 }, rates: { "q0/-": 900 } });
  expect(change).toMatchObject({ kind: "split", prefix: "", wish: { splitAt: { "": 900 } } });
  expect(change?.wish.partitions).toMatchObject([
    { prefix: "0", ownerId: "a" },
    { prefix: "1", ownerId: "c", heldAt: 450 },
  ]);
});

test("what would be too much for its taker stays: the next one goes, or a half", () => {
  // Of 0.9 the first takes 0.8: with 0.1 that would be above the threshold.
  const skewed = { "q0/-": 100, "q1/-": 800 };
  expect(changed({ wishes: wholes, busy: { a: 0.9, b: 0.5, c: 0.1 }, rates: skewed })?.wish.queue).toBe("q0");
  const pinned = [{ ...wholes[0], shapeRestsUntil: wall + 1 } as Wish, ...wholes.slice(1)];
  const split = changed({ wishes: pinned, busy: { a: 0.9, b: 0.5, c: 0.1 }, rates: skewed });
  expect(split).toMatchObject({ kind: "split", wish: { queue: "q1" } });
});

test("a partition is split rather than that a tiny one is moved", () => {
  const skewed = { "q0/-": 10, "q1/-": 890 };
  expect(changed({ wishes: wholes, busy: { a: 0.9, b: 0.5, c: 0.1 }, rates: skewed })).toMatchObject({
    kind: "split",
    wish: { queue: "q1", splitAt: { "": 890 } },
  });
});

test("a half that has nearly all of the load is not split again: it lies in few lanes", () => {
  const halves = { ...wishOf("q0", { "0": "a", "1": "b" }), splitAt: { "": 900 } };
  const busy = { a: 0.95, b: 0.1, c: 0.1 };
  expect(changed({ wishes: [halves], busy, rates: { "q0/0": 850 } })).toBeUndefined();
  expect(changed({ wishes: [halves], busy, rates: { "q0/0": 600 } })).toMatchObject({ kind: "split", prefix: "0" });
});

test("a member with twice the capacity is filled half as much by it", () => {
  const alone = [wishOf("q0", { "": "a" }), wishOf("q1", { "": "a" })];
  const input = { wishes: alone, rates: { "q0/-": 750, "q1/-": 150 } };
  expect(changed({ ...input, busy: { a: 0.9, b: 0.1 } })?.wish.queue).toBe("q1");
  const large = members.map((member) => (member.id === "b" ? { ...member, capacity: 2 } : member));
  expect(changed({ ...input, busy: { a: 0.9, b: 0.1 }, present: large })).toMatchObject({
    kind: "move",
    wish: { queue: "q0" },
  });
});

test("nothing changes before it was so for a while, inside the dead band, or for nobody", () => {
  const busy = { a: 0.9, b: 0.3, c: 0.1 };
  expect(changed({ wishes: wholes, busy, rates, forMs: ownerLoadForMs - 1 })).toBeUndefined();
  expect(changed({ wishes: wholes, busy: { a: 0.8, b: 0.1, c: 0.1 }, rates })).toBeUndefined();
  expect(changed({ wishes: wholes, busy: { a: 0.9, b: 0.61, c: 0.6 }, rates })).toBeUndefined();
  expect(changed({ wishes: wholes, busy: { a: 0.9 }, rates })).toBeUndefined();
  const draining = members.map((member) => ({ ...member, isDraining: member.id !== "a" }));
  expect(changed({ wishes: wholes, busy, rates, present: draining })).toBeUndefined();
  expect(changed({ wishes: wholes, busy, rates: {} })).toBeUndefined();
});

test("what rests is left alone, and a single lane is not split", () => {
  const busy = { a: 0.9, b: 0.1 };
  const rests = wholes.map((wish) => ({ ...wish, shapeRestsUntil: wall + 1 }));
  expect(changed({ wishes: rests, busy, rates })).toBeUndefined();
  const pinned = wholes.map((wish) => ({
    ...wish,
    partitions: wish.partitions.map((partition) => ({ ...partition, restsUntil: wall + 1 })),
  }));
  expect(changed({ wishes: pinned, busy, rates })).toBeUndefined();
  const lanes = Array.from({ length: 32 }, (_, lane) => lane.toString(2).padStart(5, "0"));
  const single = wishOf("q0", Object.fromEntries(lanes.map((lane) => [lane, "a"])));
  expect(changed({ wishes: [single], busy, rates: { "q0/00000": 900 } })).toBeUndefined();
});

test("a member that owns other partitions than before begins anew: what it reports is of those that it had", () => {
  const reports = [{ memberId: "a", partitions: [], isCut: false, busy: 0.9 }];
  const before = followOwnerLoads(new Map(), { wishes: wholes, reports, now: 0 });
  expect(followOwnerLoads(before, { wishes: wholes, reports, now: 5 }).get("a")?.since).toBe(0);
  const less = wholes.slice(1);
  expect(followOwnerLoads(before, { wishes: less, reports, now: 5 }).get("a")?.since).toBe(5);
  const calmer = [{ memberId: "a", partitions: [], isCut: false, busy: 0.7 }];
  expect(followOwnerLoads(before, { wishes: wholes, reports: calmer, now: 5 }).get("a")).toMatchObject({
    level: "middle",
    since: 5,
  });
});

interface Scene {
  readonly wishes: readonly Wish[];
  /** By member; who is left out does not say. */
  readonly busy: Readonly<Record<string, number>>;
  /** By partition. */
  readonly rates: Readonly<Record<string, number>>;
  readonly present?: readonly Member[];
  readonly forMs?: number;
}

function changed({ wishes, busy, rates, present = members, forMs = ownerLoadForMs }: Scene) {
  const reports = members.map(({ id }) => ({
    memberId: id,
    isCut: false,
    partitions: wishes.flatMap(({ queue, partitions }) =>
      partitions
        .filter(({ ownerId }) => ownerId === id)
        .map(({ prefix }) => {
          const dispatchedPerSecond = rates[partitionKey({ queue, prefix })] ?? 0;
          return { queue, prefix, waiting: 0, backlogAgeMs: 0, dispatchedPerSecond };
        }),
    ),
    ...(busy[id] !== undefined && { busy: busy[id] }),
  }));
  const heats = followHeat(new Map(), { wishes, reports, now: forMs });
  const since0: OwnerLoads = followOwnerLoads(new Map(), { wishes, reports, now: 0 });
  const ownerLoads = followOwnerLoads(since0, { wishes, reports, now: forMs });
  return unburden({ wishes, members: present, heats, ownerLoads, now: { wall, monotonic: forMs } }, config);
}
