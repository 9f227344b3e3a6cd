import type { LoadReport, Member, PartitionLoad, Wish } from "@sluice/coordination";
import { parsePartitionKey, partitionKey } from "@sluice/core";
import { expect, test } from "vitest";
import { followHeat, type Heats } from "./heat.ts";
import { defaultReshapeConfig, groupsOf, type ReshapeInput, reshape } from "./reshape.ts";

const { hotForMs, quietForMs, restMs } = defaultReshapeConfig;
const wall = 1_700_000_000_000;
const hotLoad = { waiting: 20_000, backlogAgeMs: 12_000, dispatchedPerSecond: 800 };
const members = ["a", "b", "c"].map((id): Member => ({ id, capacity: 1, isDraining: false }));
const wholeOn = (ownerId: string): Wish => ({ queue: "q0", partitions: [{ prefix: "", ownerId }], modRevision: 3 });
const halvesOn = (lower: string, upper: string): Wish => ({
  queue: "q0",
  partitions: [
    { prefix: "0", ownerId: lower },
    { prefix: "1", ownerId: upper },
  ],
  modRevision: 3,
});

test("a partition is hot by the age of its backlog, or by the time that it takes", () => {
  const heatOf = (load: Omit<PartitionLoad, "queue" | "prefix">) =>
    heats([wholeOn("a")], { "q0/-": load }).get("q0/-")?.heat;
  const rate = { dispatchedPerSecond: 800 };
  expect(heatOf({ ...rate, waiting: 1, backlogAgeMs: 10_001 })).toBe("hot");
  expect(heatOf({ ...rate, waiting: 8_001, backlogAgeMs: 1 })).toBe("hot");
  expect(heatOf({ waiting: 1_001, backlogAgeMs: 1, dispatchedPerSecond: 0 })).toBe("hot");
  expect(heatOf({ ...rate, waiting: 8_000, backlogAgeMs: 10_000 })).toBe("busy");
  expect(heatOf({ ...rate, waiting: 1, backlogAgeMs: 3_000 })).toBe("busy");
  expect(heatOf({ ...rate, waiting: 2_399, backlogAgeMs: 2_999 })).toBe("quiet");
});

test("what is held back does not make a partition hot, nor busy, nor quiet", () => {
  const heatOf = (ready: PartitionLoad["ready"], load = hotLoad) =>
    heats([wholeOn("a")], { "q0/-": { ...load, ...(ready && { ready }) } }).get("q0/-");
  expect(heatOf(undefined)?.heat).toBe("hot");
  expect(heatOf({ waiting: 0, ageMs: 0 })?.heat).toBe("held back");
  expect(heatOf({ waiting: 100, ageMs: 2_900 })?.heat).toBe("held back");
  expect(heatOf({ waiting: 100, ageMs: 3_000 })?.heat).toBe("busy");
  expect(heatOf({ waiting: 100, ageMs: 10_001 })?.heat).toBe("hot");
  expect(heatOf({ waiting: 8_001, ageMs: 0 })?.heat).toBe("hot");
  expect(heatOf({ waiting: 0, ageMs: 0 }, { ...hotLoad, waiting: 10, backlogAgeMs: 500 })?.heat).toBe("quiet");
  expect(heatOf({ waiting: 8_001, ageMs: 7 })?.load).toEqual({ ...hotLoad, waiting: 8_001, backlogAgeMs: 7 });
});

test("only the wished owner's report counts, and what a report that was cut leaves out is not known", () => {
  const wishes = [wholeOn("a")];
  const load = { queue: "q0", prefix: "", ...hotLoad };
  const heatWith = (...reports: LoadReport[]) => followHeat(new Map(), { wishes, reports, now: 0 }).get("q0/-")?.heat;
  expect(heatWith({ memberId: "a", partitions: [load], isCut: false })).toBe("hot");
  expect(heatWith({ memberId: "b", partitions: [load], isCut: false })).toBe("unknown");
  expect(heatWith({ memberId: "a", partitions: [], isCut: false })).toBe("quiet");
  expect(heatWith({ memberId: "a", partitions: [], isCut: true })).toBe("unknown");
});

test("a partition that stays hot is split, and its upper half goes to the emptiest member", () => {
  const others: Wish = { queue: "q1", partitions: [{ prefix: "", ownerId: "b" }], modRevision: 4 };
  const change = decided([wholeOn("a"), others], { "q0/-": hotLoad }, hotForMs);
  expect(change).toMatchObject({ kind: "split", prefix: "" });
  expect(change?.wish).toEqual({
    queue: "q0",
    modRevision: 3,
    partitions: [
      { prefix: "0", ownerId: "a", restsUntil: wall + restMs },
      { prefix: "1", ownerId: "c", restsUntil: wall + restMs },
    ],
    shapeRestsUntil: wall + restMs,
    splitAt: { "": 800 },
  });
});

test("nothing is split before it was hot for a while, nor while its shape rests", () => {
  expect(decided([wholeOn("a")], { "q0/-": hotLoad }, hotForMs - 1)).toBeUndefined();
  expect(decided([{ ...wholeOn("a"), shapeRestsUntil: wall + 1 }], { "q0/-": hotLoad }, hotForMs)).toBeUndefined();
  expect(decided([{ ...wholeOn("a"), shapeRestsUntil: wall }], { "q0/-": hotLoad }, hotForMs)).toBeDefined();
});

test("nothing is split for nobody: alone, with members that drain, or that have as much to do", () => {
  const hot = { "q0/-": hotLoad, "q1/-": hotLoad };
  const wishes = [wholeOn("a"), { ...wholeOn("b"), queue: "q1" }];
  const [a, b, c] = members as [Member, Member, Member];
  expect(decided([wholeOn("a")], hot, hotForMs, [a])).toBeUndefined();
  expect(decided([wholeOn("a")], hot, hotForMs, [a, { ...b, isDraining: true }])).toBeUndefined();
  expect(decided(wishes, hot, hotForMs, [a, b])).toBeUndefined();
  expect(decided(wishes, hot, hotForMs, [a, b, c])).toMatchObject({ kind: "split" });
});

test("nothing is split that waits for agents alone", () => {
  expect(decided([wholeOn("a")], { "q0/-": { ...hotLoad, dispatchedPerSecond: 0 } }, hotForMs)).toBeUndefined();
});

/** A million tasks behind 50/s. */
const heldBackLoad = {
  ...{ waiting: 1_000_000, backlogAgeMs: 3_600_000, dispatchedPerSecond: 50 },
  ready: { waiting: 0, ageMs: 20 },
};

test("nothing is split that its limit, its adaptive window or a pause holds back", () => {
  expect(decided([wholeOn("a")], { "q0/-": heldBackLoad }, hotForMs)).toBeUndefined();
  const beside = { ...heldBackLoad, dispatchedPerSecond: 5_000, ready: { waiting: 9_000, ageMs: 11_000 } };
  const why = { rule: "backlog", figures: { waiting: 9_000, backlogAgeMs: 11_000, dispatchedPerSecond: 5_000 } };
  expect(decided([wholeOn("a")], { "q0/-": beside }, hotForMs)).toMatchObject({ kind: "split", why });
});

test("who has but a backlog that is held back may be given half of one that is not, also of the same queue", () => {
  const [a, b] = members as [Member, Member];
  const loads = { "q0/0": heldBackLoad, "q0/1": hotLoad };
  expect(decided([halvesOn("a", "b")], loads, hotForMs, [a, b])).toMatchObject({ kind: "split", prefix: "1" });
});

test("as many members as there are get a part of a hot queue, and no more parts are made", () => {
  const quarters: Wish = {
    ...wholeOn("a"),
    partitions: ["00", "01", "1"].map((prefix, index) => ({ prefix, ownerId: ["a", "b", "c"][index] ?? "" })),
  };
  const hot = { "q0/00": hotLoad, "q0/01": hotLoad, "q0/1": hotLoad };
  expect(decided([quarters], hot, hotForMs)).toBeUndefined();
});

test("a member that has two hot parts of a queue gives one away before anything is split further", () => {
  const change = decided([halvesOn("a", "a")], { "q0/0": hotLoad, "q0/1": hotLoad }, hotForMs);
  expect(change).toMatchObject({ kind: "move", prefix: "0" });
  expect(change?.wish.partitions[0]).toEqual({ prefix: "0", ownerId: "b", restsUntil: wall + restMs });
  const pinned = { ...halvesOn("a", "a") };
  const rests = { ...pinned, partitions: pinned.partitions.map((each) => ({ ...each, restsUntil: wall + 1 })) };
  expect(decided([rests], { "q0/0": hotLoad, "q0/1": hotLoad }, hotForMs)).toBeUndefined();
});

test("a lane is not split, whatever waits in it", () => {
  const lanes = Array.from({ length: 32 }, (_, lane) => lane.toString(2).padStart(5, "0"));
  const wish = { ...wholeOn("a"), partitions: lanes.map((prefix) => ({ prefix, ownerId: "a" })) };
  expect(decided([wish], { "q0/00000": { ...hotLoad, waiting: 1_000_000 } }, hotForMs)).toBeUndefined();
});

test("the one with the oldest backlog is relieved first", () => {
  const wishes = [wholeOn("a"), { ...wholeOn("a"), queue: "q1" }];
  const loads = { "q0/-": hotLoad, "q1/-": { ...hotLoad, backlogAgeMs: 60_000 } };
  expect(decided(wishes, loads, hotForMs)?.wish.queue).toBe("q1");
});

test("two halves that stay quiet become one, with the owner that has less to do", () => {
  const others = { ...wholeOn("a"), queue: "q1" };
  const wishes = [halvesOn("a", "b"), others];
  expect(decided(wishes, {}, quietForMs - 1)).toBeUndefined();
  const change = decided(wishes, {}, quietForMs);
  expect(change).toMatchObject({ kind: "merge", prefix: "" });
  expect(change?.wish.partitions).toEqual([{ prefix: "", ownerId: "b", restsUntil: wall + restMs }]);
});

test("halves are not merged while one of them has a backlog, is not known, is split itself, or rests", () => {
  const halves = halvesOn("a", "b");
  expect(decided([halves], { "q0/0": { ...hotLoad, backlogAgeMs: 5_000, waiting: 1 } }, quietForMs)).toBeUndefined();
  expect(decided([halves], { "q0/0": heldBackLoad }, quietForMs)).toBeUndefined();
  expect(decided([halves], {}, quietForMs, members, ["a"])).toBeUndefined();
  const rests = { ...halves, partitions: halves.partitions.map((half) => ({ ...half, restsUntil: wall + 1 })) };
  expect(decided([rests], {}, quietForMs)).toBeUndefined();
  const deeper = {
    ...halves,
    partitions: ["0", "10", "11"].map((prefix) => ({ prefix, ownerId: "a" })),
  };
  expect(decided([deeper], { "q0/11": { ...hotLoad, waiting: 4_000, backlogAgeMs: 0 } }, quietForMs)).toBeUndefined();
  expect(decided([deeper], {}, quietForMs)).toMatchObject({ kind: "merge", prefix: "1" });
});

test("halves that dispatch about as much as when they were split stay apart, though they have no backlog", () => {
  const split = { ...halvesOn("a", "b"), splitAt: { "": 800 } };
  const rate = (dispatchedPerSecond: number) => ({ waiting: 0, backlogAgeMs: 0, dispatchedPerSecond });
  expect(decided([split], { "q0/0": rate(300), "q0/1": rate(101) }, quietForMs)).toBeUndefined();
  expect(decided([split], { "q0/0": rate(300), "q0/1": rate(99) }, quietForMs)).toMatchObject({ kind: "merge" });
  const groups = (lower: number, upper: number) => [
    ...groupsOf({ wishes: [split], heats: heats([split], { "q0/0": rate(lower), "q0/1": rate(upper) }) }).keys(),
  ];
  expect(groups(300, 101)).toEqual(["q0/0", "q0/1"]);
  expect(groups(300, 99)).toEqual([]);
});

type Loads = Readonly<Record<string, Omit<PartitionLoad, "queue" | "prefix">>>;

/** The heats that a leader has after the same reports for `forMs`; `silent` members do not report. */
function heats(wishes: readonly Wish[], loads: Loads, silent: readonly string[] = [], forMs = 0): Heats {
  const reports = members
    .filter(({ id }) => !silent.includes(id))
    .map(({ id }): LoadReport => {
      const own = wishes.flatMap(({ queue, partitions }) =>
        partitions.filter(({ ownerId }) => ownerId === id).map(({ prefix }) => partitionKey({ queue, prefix })),
      );
      const partitions = own.flatMap((key) => {
        const load = loads[key];
        return load === undefined ? [] : [{ ...parsePartitionKey(key), ...load }];
      });
      return { memberId: id, partitions, isCut: false };
    });
  return followHeat(followHeat(new Map(), { wishes, reports, now: 0 }), { wishes, reports, now: forMs });
}

function decided(
  wishes: ReshapeInput["wishes"],
  loads: Loads,
  forMs: number,
  present = members,
  silent: readonly string[] = [],
) {
  const now = { wall, monotonic: forMs };
  return reshape({ wishes, members: present, heats: heats(wishes, loads, silent, forMs), now });
}
