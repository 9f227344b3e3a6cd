// Hours of rounds over a model of a cluster: each member dispatches so much, and the agents of all so much; work comes at a
// constant rate. Whatever the rates are, the shapes come to rest, and on the way there they are never wrong.
import type { LoadReport, Member, PartitionLoad, Wish } from "@sluice/coordination";
import { laneCount, laneCountOf, type Prefix, partitionKey } from "@sluice/core";
import fc from "fast-check";
import { expect, test } from "vitest";
import { decide } from "./decide.ts";
import { followHeat, type Heats } from "./heat.ts";
import { defaultLoadBalancerConfig as config } from "./load-balancer.ts";
import { followOwnerLoads, type OwnerLoads } from "./owner-loads.ts";

interface Load {
  /** Tasks per second that come, by queue. */
  readonly arriving: readonly number[];
  /** Waiting at the start, by queue. */
  readonly waiting: readonly number[];
  /** Tasks per second that a member of capacity 1 dispatches, and that all agents take. */
  readonly memberMax: number;
  readonly agentsMax: number;
  /** Of each queue at first; default: as the rule places them. */
  readonly owners?: readonly string[];
  /** What comes differs by so much from one step to the next; default 0. */
  readonly waver?: number;
}

const rate = fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 30 }), fc.integer({ min: 100, max: 4_000 }));
const loadsWith = (...waiting: number[]) =>
  fc
    .record({
      queues: fc.array(fc.tuple(rate, fc.constantFrom(...waiting)), { minLength: 1, maxLength: 8 }),
      memberMax: fc.constantFrom(500, 1_000, 2_000),
      agentsMax: fc.constantFrom(40, 1_500, 1e9),
    })
    .map(
      ({ queues, ...rest }): Load => ({
        ...rest,
        arriving: queues.map(([arriving]) => arriving),
        waiting: queues.map(([, count]) => count),
      }),
    );
const memberList = fc
  .array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 5 })
  .map((capacities) => capacities.map((capacity, index): Member => ({ id: `s${index}`, capacity, isDraining: false })));

test("under a constant load the shapes come to rest, with no more parts of a queue than members", () => {
  fc.assert(
    fc.property(memberList, loadsWith(0, 500), (members, load) => {
      const cluster = startCluster(members, load);
      cluster.run(60 * 60_000);
      const before = cluster.changes.length;
      cluster.run(60 * 60_000);
      expect(cluster.changes.slice(before)).toEqual([]);
      for (const { partitions } of cluster.wishes) expect(partitions.length).toBeLessThanOrEqual(members.length);
    }),
    { numRuns: 5, seed: 3 },
  );
});

test("whatever waits at first, the shapes are never wrong, and what was merged is not split again", () => {
  fc.assert(
    fc.property(memberList, loadsWith(0, 500, 100_000), (members, load) => {
      const cluster = startCluster(members, load);
      cluster.run(2 * 3_600_000);
      for (const [index, change] of cluster.changes.entries()) {
        if (!change.startsWith("merge")) continue;
        expect(cluster.changes.slice(index)).not.toContain(change.replace("merge", "split"));
      }
    }),
    { numRuns: 5, seed: 3 },
  );
});

test("one queue that is too much for one member is shared by two, and stays shared; when it ends, it is whole again", () => {
  const members = ["s0", "s1"].map((id): Member => ({ id, capacity: 1, isDraining: false }));
  const quiet = new Array(7).fill(5);
  const cluster = startCluster(members, {
    arriving: [1_500, ...quiet],
    waiting: new Array(8).fill(0),
    memberMax: 1_000,
    agentsMax: 1e9,
  });
  cluster.run(2 * 3_600_000);
  expect(cluster.changes).toEqual(["split q0/-"]);
  const [hot] = cluster.wishes;
  expect(new Set(hot?.partitions.map(({ ownerId }) => ownerId)).size).toBe(2);
  expect(cluster.waitingOf("q0")).toBe(0);
  cluster.arriving[0] = 5;
  cluster.run(400_000);
  expect(cluster.changes.filter((change) => !change.startsWith("place"))).toEqual(["split q0/-", "merge q0/-"]);
});

test("a backlog that agents hold up is split as often as there are members, and not once more", () => {
  const members = ["s0", "s1", "s2"].map((id): Member => ({ id, capacity: 1, isDraining: false }));
  const cluster = startCluster(members, { arriving: [100], waiting: [0], memberMax: 1_000, agentsMax: 40 });
  cluster.run(3 * 3_600_000);
  expect(cluster.changes).toHaveLength(2);
  expect(cluster.wishes[0]?.partitions).toHaveLength(3);
});

test("an owner that is too busy is relieved though nothing waits, and nothing comes back for hours", () => {
  const members = ["s0", "s1"].map((id): Member => ({ id, capacity: 1, isDraining: false }));
  const cluster = startCluster(members, {
    ...{ arriving: [300, 300, 300, 5, 5, 5, 5, 5], waiting: new Array(8).fill(0), memberMax: 1_000, agentsMax: 1e9 },
    owners: [..."00001111"].map((digit) => `s${digit}`),
  });
  cluster.run(6 * 3_600_000);
  // One of the busy ones goes, and a quiet one comes for it.
  expect(cluster.changes.filter((change) => change.startsWith("move"))).toHaveLength(1);
  expect(cluster.changes.length).toBeLessThanOrEqual(3);
  for (const { id } of members) expect(cluster.busyOf(id)).toBeLessThan(config.ownerLoadMax);
});

test("a partition that alone is too much for its owner is shared while it is, and merged when it is not", () => {
  const members = ["s0", "s1"].map((id): Member => ({ id, capacity: 1, isDraining: false }));
  const cluster = startCluster(members, {
    ...{ arriving: [900, 5, 5, 5], waiting: [0, 0, 0, 0], memberMax: 1_000, agentsMax: 1e9 },
    owners: ["s0", "s1", "s0", "s1"],
  });
  cluster.run(3 * 3_600_000);
  expect(cluster.changes.filter((change) => change.startsWith("split"))).toEqual(["split q0/-"]);
  expect(cluster.changes.some((change) => change.startsWith("merge"))).toBe(false);
  const before = cluster.changes.length;
  cluster.arriving[0] = 300;
  cluster.run(3_600_000);
  expect(cluster.changes.slice(before).filter((change) => !change.startsWith("place"))).toEqual(["merge q0/-"]);
});

test("under loads that waver by a tenth, of which half of the cluster's time would do, nobody stays too busy and all comes to rest", () => {
  const shares = fc.array(fc.integer({ min: 0, max: 100 }), { minLength: 4, maxLength: 10 });
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 4 }), shares, fc.integer({ min: 10, max: 50 }), (count, parts, percent) => {
      const members = Array.from(
        { length: count },
        (_, index): Member => ({ id: `s${index}`, capacity: 1, isDraining: false }),
      );
      const total = Math.max(
        1,
        parts.reduce((sum, part) => sum + part, 0),
      );
      const cluster = startCluster(members, {
        arriving: parts.map((part) => (part / total) * (percent / 100) * count * 1_000),
        waiting: parts.map(() => 0),
        ...{ memberMax: 1_000, agentsMax: 1e9, waver: 0.1, owners: parts.map(() => "s0") },
      });
      cluster.run(3_600_000);
      const { length } = cluster.changes;
      expect(length).toBeLessThan(3 * parts.length);
      for (const { id } of members) expect(cluster.busyOf(id)).toBeLessThan(config.ownerLoadMax * 1.1);
      cluster.run(3_600_000);
      expect(cluster.changes.slice(length)).toEqual([]);
    }),
    { numRuns: 5, seed: 5 },
  );
});

function startCluster(members: readonly Member[], load: Load) {
  const stepMs = 10_000;
  const queues = load.arriving.map((_, index) => `q${index}`);
  const arriving = [...load.arriving];
  /** By queue and lane. */
  const backlog = load.waiting.map((waiting) => new Array<number>(laneCount).fill(waiting / laneCount));
  const rates = new Map<string, number>();
  const changes: string[] = [];
  let wishes: readonly Wish[] = (load.owners ?? []).map(
    (ownerId, index): Wish => ({ queue: `q${index}`, partitions: [{ prefix: "", ownerId }], modRevision: 1 }),
  );
  let heats: Heats = new Map();
  let ownerLoads: OwnerLoads = new Map();
  let nowMs = 0;

  const lanesIn = (prefix: Prefix) => {
    const width = laneCountOf(prefix);
    const from = prefix === "" ? 0 : Number.parseInt(prefix, 2) * width;
    return Array.from({ length: width }, (_, index) => from + index);
  };
  const waitingIn = (queue: number, prefix: Prefix) =>
    lanesIn(prefix).reduce((sum, lane) => sum + (backlog[queue]?.[lane] ?? 0), 0);
  const partitionsOf = (ownerId: string) =>
    wishes.flatMap(({ queue, partitions }) =>
      partitions
        .filter((partition) => partition.ownerId === ownerId)
        .map(({ prefix }) => ({ queue, index: queues.indexOf(queue), prefix })),
    );

  /** What wants to be dispatched in this step shares what its member, and then what the agents, can take. */
  function work(): void {
    const seconds = stepMs / 1_000;
    for (const [index, lanes] of backlog.entries()) {
      const waver = 1 + (load.waver ?? 0) * Math.sin(nowMs * (index + 1));
      for (const lane of lanes.keys())
        lanes[lane] = (lanes[lane] ?? 0) + ((arriving[index] ?? 0) * waver * seconds) / laneCount;
    }
    const wanted = members.flatMap(({ id, capacity }) => {
      const own = partitionsOf(id).map((each) => ({ ...each, left: waitingIn(each.index, each.prefix) }));
      const shares = fairShares(
        own.map(({ left }) => left),
        capacity * load.memberMax * seconds,
      );
      return own.map((each, index) => ({ ...each, amount: shares[index] ?? 0 }));
    });
    const shares = fairShares(
      wanted.map(({ amount }) => amount),
      load.agentsMax * seconds,
    );
    rates.clear();
    for (const [position, { queue, index, prefix, left }] of wanted.entries()) {
      const amount = shares[position] ?? 0;
      rates.set(partitionKey({ queue, prefix }), amount / seconds);
      const lanes = backlog[index] ?? [];
      for (const lane of lanesIn(prefix)) {
        const kept = left === 0 ? 0 : 1 - amount / left;
        lanes[lane] = kept < 1e-9 ? 0 : (lanes[lane] ?? 0) * kept;
      }
    }
  }

  function reportOf(memberId: string): LoadReport {
    const partitions = partitionsOf(memberId).map(({ queue, index, prefix }): PartitionLoad => {
      const waiting = waitingIn(index, prefix);
      const perSecond = ((arriving[index] ?? 0) * laneCountOf(prefix)) / laneCount;
      const dispatchedPerSecond = rates.get(partitionKey({ queue, prefix })) ?? 0;
      const backlogAgeMs = waiting === 0 ? 0 : (waiting / Math.max(perSecond, dispatchedPerSecond, 1)) * 1_000;
      return { queue, prefix, waiting: Math.round(waiting), backlogAgeMs, dispatchedPerSecond };
    });
    return { memberId, partitions, isCut: false, busy: busyOf(memberId) };
  }

  /** What a member dispatches of what it can; one that cannot keep up has no time left. */
  function busyOf(memberId: string): number {
    const total = partitionsOf(memberId).reduce((sum, partition) => sum + (rates.get(partitionKey(partition)) ?? 0), 0);
    const capacity = members.find(({ id }) => id === memberId)?.capacity ?? 1;
    return Math.min(1, total / (capacity * load.memberMax));
  }

  function round(): void {
    const reports = members.map(({ id }) => reportOf(id));
    heats = followHeat(heats, { wishes, reports, now: nowMs }, config);
    const now = { wall: 1_700_000_000_000 + nowMs, monotonic: nowMs };
    ownerLoads = followOwnerLoads(ownerLoads, { wishes, reports, now: nowMs }, config);
    const facts = { queues, members, wishes, heats, ownerLoads, now, mayMove: true };
    const { wishes: placed, reshape } = decide(facts, config);
    if (wishes.length > 0) changes.push(...placed.map(({ queue }) => `place ${queue}`));
    if (reshape) changes.push(`${reshape.kind} ${partitionKey({ queue: reshape.wish.queue, prefix: reshape.prefix })}`);
    const written = new Map([...placed, ...(reshape ? [reshape.wish] : [])].map((wish) => [wish.queue, wish]));
    wishes = queues.flatMap((queue) => written.get(queue) ?? wishes.find((wish) => wish.queue === queue) ?? []);
    for (const { partitions } of wishes) {
      expect(partitions.reduce((sum, { prefix }) => sum + laneCountOf(prefix), 0)).toBe(laneCount);
      expect(Math.max(...partitions.map(({ prefix }) => prefix.length))).toBeLessThanOrEqual(5);
    }
  }

  return {
    changes,
    arriving,
    get wishes() {
      return wishes;
    },
    busyOf,
    waitingOf: (queue: string) => Math.round(waitingIn(queues.indexOf(queue), "")),
    run(ms: number) {
      for (const until = nowMs + ms; nowMs < until; nowMs += stepMs) {
        round();
        work();
      }
    },
  };
}

/** Nobody gets more than he wants, and what that leaves is shared by the others. */
function fairShares(wanted: readonly number[], total: number): number[] {
  const shares = new Array<number>(wanted.length).fill(0);
  const order = wanted.map((want, index) => ({ want, index })).sort((a, b) => a.want - b.want);
  let left = total;
  for (const [done, { want, index }] of order.entries()) {
    const share = Math.min(want, left / (order.length - done));
    shares[index] = share;
    left -= share;
  }
  return shares;
}
