import {
  createMembership,
  fastLeaseProfile,
  leaderKey,
  type MemberInfo,
  type Membership,
  readEvents,
  readWishes,
  type Wish,
  wishKey,
  writeLoads,
  writeWish,
} from "@sluice/coordination";
import { createMemoryCoordinator } from "@sluice/coordination/memory";
import { type CoordinatorCall, createFaultyCoordinator, type Fault } from "@sluice/coordination/testing";
import { laneCount, lanesOf } from "@sluice/core";
import { type ClockView, FakeClock, seededRandom } from "@sluice/core/testing";
import { createMemorySignals } from "@sluice/queue/memory";
import fc from "fast-check";
import { Registry } from "prom-client";
import { expect, test } from "vitest";
import { createLoadBalancer, type LoadBalancer } from "./index.ts";

const queues = ["q0", "q1", "q2", "q3", "q4", "q5"];
const hotLoad = { waiting: 50_000, backlogAgeMs: 20_000, dispatchedPerSecond: 900 };
/** A lease, its last renewal, and a round or two. */
const healedWithinMs = fastLeaseProfile.ttlMs + fastLeaseProfile.renewEveryMs + 3_000;

test("one leads, and wishes every queue to a live member", async () => {
  await using cluster = startCluster("a", "b", "c");
  await cluster.clock.advance(2_000);
  expect(cluster.leaders()).toHaveLength(1);
  expect(new Set((await cluster.owners()).values())).toEqual(new Set(["a", "b", "c"]));
});

test("who does not lead does nothing", async () => {
  await using cluster = startCluster("a", "b", "c");
  await cluster.clock.advance(10_000);
  const [leader] = cluster.leaders();
  for (const { id, registry } of cluster.nodes.values()) {
    const text = await registry.metrics();
    expect(text).toContain(`sluice_load_balancer_leaders ${id === leader ? 1 : 0}`);
    expect(/sluice_load_balancer_written_wishes_total [1-9]/.test(text)).toBe(id === leader);
    expect(text.includes('sluice_load_balancer_rounds_total{outcome="led"}')).toBe(id === leader);
  }
});

test("in a quiet cluster nothing is written", async () => {
  await using cluster = startCluster("a", "b", "c");
  await cluster.clock.advance(10_000);
  const before = await readWishes(cluster.coordinator);
  await cluster.clock.advance(120_000);
  expect(await readWishes(cluster.coordinator)).toEqual(before);
});

test("a member that leaves loses its partitions at once, one that dies when its lease ends", async () => {
  await using cluster = startCluster("a", "b", "c", "d");
  await cluster.clock.advance(10_000);
  const [left, died] = [...cluster.nodes.keys()].filter((id) => !cluster.leaders().includes(id));
  await cluster.leave(left);
  await cluster.clock.advance(50);
  expect([...(await cluster.owners()).values()]).not.toContain(left);

  cluster.die(died);
  await cluster.clock.advance(fastLeaseProfile.ttlMs + 50);
  expect([...(await cluster.owners()).values()]).not.toContain(died);
});

test("a member that drains is relieved within a round", async () => {
  await using cluster = startCluster("a", "b", "c");
  await cluster.clock.advance(10_000);
  cluster.drain("b");
  await cluster.clock.advance(100);
  expect(new Set((await cluster.owners()).values())).toEqual(new Set(["a", "c"]));
});

test("when the leader dies another one takes over as its lease ends; when it stops, at once", async () => {
  await using cluster = startCluster("a", "b", "c");
  await cluster.clock.advance(10_000);
  const [first] = cluster.leaders();
  cluster.die(first);
  await cluster.clock.advance(fastLeaseProfile.ttlMs + 100);
  const [second] = cluster.leaders();
  expect(second).toBeDefined();
  expect([...(await cluster.owners()).values()]).not.toContain(first);

  await cluster.leave(second);
  await cluster.clock.advance(100);
  expect(cluster.leaders()).toHaveLength(1);
  expect(cluster.leaders()).not.toContain(second);
});

test("who led, and who lost and got partitions, is in a list that outlives the leaders", async () => {
  await using cluster = startCluster("a", "b", "c");
  await cluster.clock.advance(10_000);
  const [first] = cluster.leaders();
  const other = [...cluster.nodes.keys()].find((id) => id !== first);
  cluster.die(other);
  await cluster.clock.advance(fastLeaseProfile.ttlMs + 1_100);
  await cluster.leave(first);
  await cluster.clock.advance(2_000);
  const [second] = cluster.leaders();
  const events = await readEvents(cluster.coordinator);
  const changes = events.filter(({ kind }) => kind === "leader");
  expect(changes.map(({ reason, from, to }) => [reason, from, to])).toEqual([
    ["elected", "", first],
    ["resigned", first, ""],
    ["elected", "", second],
  ]);
  const gone = events.filter(({ reason }) => reason === "gone");
  expect(new Set(gone.map(({ from }) => from))).toEqual(new Set([other, first]));
  const [dead] = gone.filter(({ from }) => from === other);
  const registry = cluster.nodes.get(second ?? "")?.registry;
  expect(dead).toMatchObject({ kind: "move", queue: expect.stringMatching(/^q\d$/) });
  expect(await registry?.metrics()).toContain('sluice_load_balancer_events_total{kind="leader",reason="elected"} 1');
});

test("a leader that was replaced while its writes were on their way changes nothing", async () => {
  await using cluster = startCluster("a");
  const { clock, coordinator } = cluster;
  await clock.advance(5_000);
  cluster.nodes.get("a")?.setFaults({ commit: "late", renew: "hangs" });
  await cluster.wishEverythingTo("somebody who is gone");
  const before = await readWishes(coordinator);

  // Its next round writes all of them anew; that arrives three seconds later, when another one leads.
  await clock.advance(1_200);
  await coordinator.commit([], [{ op: "delete", key: leaderKey }]);
  await coordinator.commit([], [{ op: "put", key: leaderKey, value: "b" }]);
  await clock.advance(10_000);

  expect(await readWishes(coordinator)).toEqual(before);
});

test("a leader whose lease cannot be trusted any more leads no more", async () => {
  await using cluster = startCluster("a");
  await cluster.clock.advance(5_000);
  expect(cluster.leaders()).toEqual(["a"]);
  cluster.nodes.get("a")?.setFaults({ renew: "hangs" });
  await cluster.clock.advance(fastLeaseProfile.ttlMs + 1_200);
  expect(cluster.leaders()).toEqual([]);
});

test("calls that hang or fail neither stop it nor lose the wishes", async () => {
  await using cluster = startCluster("a", "b");
  await cluster.clock.advance(5_000);
  for (const fault of ["hangs", "refused", "unheard"] as const) {
    for (const node of cluster.nodes.values()) node.setFaults({ get: fault, list: fault, commit: fault });
    await cluster.clock.advance(20_000);
    for (const node of cluster.nodes.values()) node.setFaults({});
    await cluster.clock.advance(healedWithinMs);
    expect(cluster.leaders()).toHaveLength(1);
    expect((await cluster.owners()).size).toBe(queues.length * laneCount);
  }
});

test("a campaign whose answer was lost is found in the next round", async () => {
  await using cluster = startCluster();
  cluster.join("a");
  cluster.nodes.get("a")?.setFaults({ commit: "unheard" });
  await cluster.clock.advance(5_000);
  expect(cluster.leaders()).toEqual(["a"]);
  expect((await cluster.owners()).size).toBe(queues.length * laneCount);
});

test("a partition that stays hot is split by the leader; what was changed on command is left alone", async () => {
  await using cluster = startCluster("a", "b");
  const { clock, coordinator } = cluster;
  await clock.advance(5_000);
  const wishes = await readWishes(coordinator);
  const ownerOf = (wish: Wish | undefined) => wish?.partitions[0]?.ownerId;
  const [first, second] = wishes.filter((wish) => ownerOf(wish) === ownerOf(wishes[0]));
  if (first === undefined || second === undefined) throw new Error("no wishes are written");
  await writeWish(coordinator, { ...second, shapeRestsUntil: clock.now() + 3_600_000 });
  for (let round = 0; round < 6; round++) {
    for (const { id, membership } of cluster.nodes.values()) {
      if (membership.lease === undefined) throw new Error("no lease");
      const partitions = [first, second].map(({ queue }) => ({ queue, prefix: "", ...hotLoad }));
      await writeLoads(coordinator, { memberId: id, partitions, isCut: false }, membership.lease);
    }
    await clock.advance(2_000);
  }
  const shapes = new Map((await readWishes(coordinator)).map((wish) => [wish.queue, wish.partitions]));
  expect(shapes.get(first.queue)?.map(({ prefix }) => prefix)).toEqual(["0", "1"]);
  expect(new Set(shapes.get(first.queue)?.map(({ ownerId }) => ownerId)).size).toBe(2);
  expect(shapes.get(second.queue)?.map(({ prefix }) => prefix)).toEqual([""]);
  const events = (await readEvents(coordinator)).filter(({ kind }) => kind === "split");
  expect(events).toMatchObject([{ reason: "backlog", figures: hotLoad, queue: first.queue, from: ownerOf(first) }]);
  const leader = cluster.nodes.get(cluster.leaders()[0] ?? "");
  expect(await leader?.registry.metrics()).toContain('sluice_load_balancer_reshaped_partitions_total{kind="split"} 1');
});

test("after any sequence of joins and leaves every lane is wished to exactly one live member", async () => {
  const id = fc.constantFrom("a", "b", "c", "d", "e");
  const step = fc.record({
    do: fc.constantFrom("join" as const, "join" as const, "leave" as const, "die" as const, "drain" as const),
    id,
    thenMs: fc.constantFrom(0, 30, 700, 2_500),
  });
  await fc.assert(
    fc.asyncProperty(fc.integer(), fc.array(step, { minLength: 1, maxLength: 12 }), async (seed, steps) => {
      await using cluster = startCluster();
      cluster.seed = seed;
      for (const { do: act, id, thenMs } of steps) {
        if (act === "leave") await cluster.leave(id);
        else cluster[act](id);
        await cluster.clock.advance(thenMs);
      }
      const able = [...cluster.nodes.values()].filter(({ isDraining }) => !isDraining).map(({ id }) => id);
      if (able.length === 0) return;
      await cluster.clock.advance(healedWithinMs);
      const owners = await cluster.owners();
      expect(owners.size).toBe(queues.length * laneCount);
      expect([...owners.values()].filter((owner) => !able.includes(owner))).toEqual([]);
      expect(cluster.leaders()).toHaveLength(1);
    }),
    { numRuns: 60, seed: 11 },
  );
});

interface Node {
  readonly id: string;
  readonly registry: Registry;
  readonly membership: Membership;
  readonly balancer: LoadBalancer;
  readonly clock: ClockView;
  readonly stopBalancing: AbortController;
  readonly stopMembership: AbortController;
  isDraining: boolean;
  setFaults(faults: Partial<Record<CoordinatorCall, Fault>>): void;
}

/** Schedulers that do nothing but belong to the cluster and run the load-balancer. */
function startCluster(...ids: string[]) {
  const clock = new FakeClock();
  const coordinator = createMemoryCoordinator({ clock });
  const nodes = new Map<string, Node>();
  const log = { debug() {}, info() {}, warn() {}, error() {}, child: () => log };
  const infoOf = (info: MemberInfo) => JSON.stringify(info);
  let lives = 0;
  const cluster = {
    clock,
    coordinator,
    nodes,
    seed: 1,
    join(id: string) {
      if (nodes.has(id)) return;
      let faults: Partial<Record<CoordinatorCall, Fault>> = {};
      const view = clock.view();
      const faulty = createFaultyCoordinator({ coordinator, clock, fault: (call) => faults[call] });
      const membership = createMembership({
        coordinator: faulty,
        clock: view,
        id,
        info: infoOf({}),
        profile: fastLeaseProfile,
      });
      const registry = new Registry();
      const random = seededRandom(cluster.seed + ++lives);
      const balancer = createLoadBalancer({
        coordinator: faulty,
        membership,
        signals: createMemorySignals(),
        clock: view,
        random,
        log,
        registry,
        queues,
      });
      const [stopBalancing, stopMembership] = [new AbortController(), new AbortController()];
      // A failure of theirs is unhandled, and fails the test.
      void Promise.all([balancer.run(stopBalancing.signal), membership.run(stopMembership.signal)]);
      const setFaults: Node["setFaults"] = (next) => {
        faults = next;
      };
      const stops = { stopBalancing, stopMembership };
      nodes.set(id, { id, registry, membership, balancer, clock: view, ...stops, isDraining: false, setFaults });
    },
    async leave(id = "") {
      const node = nodes.get(id);
      if (node === undefined) return;
      nodes.delete(id);
      node.stopBalancing.abort();
      await clock.settle();
      node.stopMembership.abort();
      await clock.settle();
    },
    die(id = "") {
      nodes.get(id)?.clock.freeze();
      nodes.get(id)?.setFaults({ renew: "hangs", commit: "hangs", get: "hangs", list: "hangs" });
      nodes.delete(id);
    },
    drain(id: string) {
      const node = nodes.get(id);
      if (node === undefined) return;
      node.isDraining = true;
      node.membership.announce(infoOf({ draining: true }));
    },
    async wishEverythingTo(ownerId: string) {
      const value = JSON.stringify({ partitions: [{ prefix: "", ownerId }] });
      await coordinator.commit(
        [],
        queues.map((queue) => ({ op: "put", key: wishKey(queue), value })),
      );
    },
    leaders: () => [...nodes.values()].filter(({ balancer }) => balancer.isLeading).map(({ id }) => id),
    /** Of every lane of every queue. */
    owners: async () => new Map((await readWishes(coordinator)).flatMap(ownersOf)),
    async [Symbol.asyncDispose]() {
      for (const id of [...nodes.keys()]) await cluster.leave(id);
      await coordinator[Symbol.asyncDispose]();
    },
  };
  for (const id of ids) cluster.join(id);
  return cluster;
}

function ownersOf({ queue, partitions }: Wish): [string, string][] {
  return partitions.flatMap(({ prefix, ownerId }) => {
    const { from, until } = lanesOf(prefix);
    return Array.from({ length: until - from }, (_, index): [string, string] => [`${queue}/${from + index}`, ownerId]);
  });
}
