import { createMembership, defaultLeaseProfile, type LoadReport, loadsKey, readLoads } from "@sluice/coordination";
import { createMemoryCoordinator } from "@sluice/coordination/memory";
import { FakeClock } from "@sluice/core/testing";
import { silentLogger } from "@sluice/runtime";
import { expect, test } from "vitest";
import { reportLoadsLoop } from "./report-loads.ts";

interface FakePartition {
  readonly owner: { readonly queue: string; readonly prefix: string; readonly epoch: number };
  dispatched: number;
  waiting: number;
  parked: number;
  ageMs: number;
  ready?: { readonly waiting: number; readonly ageMs: number };
}

test("a scheduler that owns nothing says so", async () => {
  await using world = startWorld([]);
  await world.clock.advance(2_500);
  expect(await world.report()).toEqual({ memberId: "s1", partitions: [], isCut: false });
});

test("what waits is told within two seconds, and what does nothing is left out", async () => {
  const [busy, idle] = [aPartition("q0"), aPartition("q1")];
  await using world = startWorld([busy, idle]);
  await world.clock.advance(2_500);
  Object.assign(busy, { waiting: 500, ageMs: 700 });
  await world.clock.advance(2_000);
  const load = { queue: "q0", prefix: "", waiting: 500, backlogAgeMs: 700, dispatchedPerSecond: 0 };
  expect((await world.report())?.partitions).toEqual([load]);
});

test("what is parked is told beside what waits, of which it is a part", async () => {
  await using world = startWorld([aPartition("q0", { waiting: 60_000, parked: 50_000, ageMs: 700 })]);
  await world.clock.advance(2_500);
  expect((await world.report())?.partitions).toMatchObject([{ waiting: 60_000, parked: 50_000 }]);
});

test("what is ready is told where some is held back, and again when that changes", async () => {
  const slow = aPartition("q0", { waiting: 9_000, ageMs: 60_000, ready: { waiting: 0, ageMs: 0 } });
  await using world = startWorld([slow]);
  await world.clock.advance(2_500);
  const load = { queue: "q0", prefix: "", waiting: 9_000, backlogAgeMs: 60_000, dispatchedPerSecond: 0 };
  expect((await world.report())?.partitions).toEqual([{ ...load, ready: { waiting: 0, ageMs: 0 } }]);
  for (const ready of [
    { waiting: 9_000, ageMs: 0 },
    { waiting: 9_000, ageMs: 2_000 },
  ]) {
    Object.assign(slow, { ready });
    await world.clock.advance(2_000);
    expect((await world.report())?.partitions).toEqual([{ ...load, ready }]);
  }
  Object.assign(slow, { ready: undefined });
  await world.clock.advance(2_000);
  expect((await world.report())?.partitions).toEqual([load]);
});

test("of more partitions than it may name, those are left out in which everything is held back", async () => {
  const slow = { waiting: 9_000, ageMs: 60_000, ready: { waiting: 0, ageMs: 0 } };
  const partitions = Array.from({ length: 40 }, (_, index) => aPartition(`q${index}`, slow));
  await using world = startWorld([...partitions, aPartition("hot", { waiting: 1, ageMs: 11_000 })]);
  await world.clock.advance(2_500);
  expect((await world.report())?.partitions[0]?.queue).toBe("hot");
});

test("the rate follows what is dispatched, and falls to nothing when it ends", async () => {
  const busy = aPartition("q0");
  await using world = startWorld([busy]);
  for (let second = 0; second < 20; second++) {
    busy.dispatched += 300;
    await world.clock.advance(1_000);
  }
  const perSecond = (await world.report())?.partitions[0]?.dispatchedPerSecond;
  // Within a fifth: less of a difference is not written.
  expect(perSecond).toBeGreaterThan(300 / 1.2);
  expect(perSecond).toBeLessThan(300 * 1.2);
  await world.clock.advance(40_000);
  expect((await world.report())?.partitions).toEqual([]);
});

test("what hardly changes is not written again", async () => {
  const busy = aPartition("q0");
  await using world = startWorld([busy]);
  Object.assign(busy, { waiting: 1_000, ageMs: 5_000 });
  await world.clock.advance(4_000);
  const before = await world.coordinator.get(loadsKey("s1"));
  Object.assign(busy, { waiting: 1_150, ageMs: 5_900 });
  await world.clock.advance(20_000);
  expect(await world.coordinator.get(loadsKey("s1"))).toEqual(before);
  busy.waiting = 1_250;
  await world.clock.advance(2_000);
  expect((await world.report())?.partitions[0]?.waiting).toBe(1_250);
});

test("how busy the thread is goes with the report, and is written again when it has changed by a twentieth", async () => {
  await using world = startWorld([]);
  world.busy = 0.5;
  await world.clock.advance(4_000);
  expect((await world.report())?.busy).toBe(0.5);
  const before = await world.coordinator.get(loadsKey("s1"));
  world.busy = 0.54;
  await world.clock.advance(10_000);
  expect(await world.coordinator.get(loadsKey("s1"))).toEqual(before);
  world.busy = 0.856;
  await world.clock.advance(2_000);
  expect((await world.report())?.busy).toBe(0.86);
});

test("of more partitions than it may name, the busiest are named", async () => {
  const partitions = Array.from({ length: 40 }, (_, index) => aPartition(`q${index}`, { ageMs: index, waiting: 1 }));
  await using world = startWorld(partitions);
  await world.clock.advance(2_500);
  const report = await world.report();
  expect(report?.isCut).toBe(true);
  expect(report?.partitions.map(({ queue }) => queue)).toEqual(
    partitions
      .slice(8)
      .reverse()
      .map(({ owner }) => owner.queue),
  );
});

test("under a new lease it says everything again", async () => {
  await using world = startWorld([aPartition("q0", { waiting: 7 })]);
  await world.clock.advance(2_500);
  const leaseId = (await world.coordinator.get(loadsKey("s1")))?.leaseId;
  await world.coordinator.revoke({ id: leaseId ?? "", ttlMs: 0 });
  expect(await world.report()).toBeUndefined();
  await world.clock.advance(5_000);
  expect((await world.report())?.partitions[0]?.waiting).toBe(7);
});

function aPartition(queue: string, parts: Partial<FakePartition> = {}): FakePartition {
  return { owner: { queue, prefix: "", epoch: 1 }, dispatched: 0, waiting: 0, parked: 0, ageMs: 0, ...parts };
}

function startWorld(partitions: readonly FakePartition[]) {
  const clock = new FakeClock();
  const coordinator = createMemoryCoordinator({ clock });
  const membership = createMembership({ coordinator, clock, id: "s1", info: "{}", profile: defaultLeaseProfile });
  const ending = new AbortController();
  const views = partitions.map((partition) => ({
    owner: partition.owner,
    get dispatched() {
      return partition.dispatched;
    },
    backlog() {
      const { waiting, parked, ageMs, ready = { waiting, ageMs } } = partition;
      return { waiting, parked, ageMs, ready };
    },
  }));
  const state: { busy: number | undefined } = { busy: undefined };
  const report = reportLoadsLoop({
    ...{ clock, log: silentLogger, coordinator, membership },
    partitions: () => views,
    busy: () => state.busy,
  });
  const running = Promise.all([membership.run(ending.signal), report(ending.signal)]);
  return {
    clock,
    coordinator,
    set busy(share: number) {
      state.busy = share;
    },
    report: async (): Promise<LoadReport | undefined> => (await readLoads(coordinator))[0],
    async [Symbol.asyncDispose]() {
      ending.abort();
      await running;
      await coordinator[Symbol.asyncDispose]();
    },
  };
}
