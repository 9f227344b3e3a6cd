import { createMembership, fastLeaseProfile, readSlots } from "@sluice/coordination";
import { createMemoryCoordinator } from "@sluice/coordination/memory";
import { FakeClock } from "@sluice/core/testing";
import { silentLogger } from "@sluice/runtime";
import { Registry } from "prom-client";
import { expect, test } from "vitest";
import { schedulerMetrics } from "./metrics.ts";
import type { Demand } from "./partition/demand.ts";
import { reportSlotsLoop, smooth } from "./report-slots.ts";

test("a burst is believed soon and its end late, and both in the end", () => {
  let wanted = 0;
  const after = (rounds: number, now: number) => {
    for (let round = 0; round < rounds; round++) wanted = smooth(wanted, now);
    return wanted;
  };
  expect(after(3, 100)).toBeGreaterThan(85);
  expect(after(10, 100)).toBe(100);
  expect(after(5, 0)).toBeGreaterThan(50);
  expect(after(60, 0)).toBe(0);
});

test("a small change is told when it has lasted 10 s, and jitter is not", async () => {
  const clock = new FakeClock();
  await using coordinator = createMemoryCoordinator({ clock });
  const membership = createMembership({ coordinator, clock, id: "s1", info: "{}", profile: fastLeaseProfile });
  let wanted = 100;
  const loop = reportSlotsLoop({
    ...{ clock, coordinator, membership, log: silentLogger, metrics: schedulerMetrics(new Registry()) },
    demands: () => [{ running: 100, wanted }],
    isLeading: () => true,
    links: () => [],
  });
  const stop = new AbortController();
  const running = Promise.all([membership.run(stop.signal), loop(stop.signal)]);
  const said = async () => (await readSlots(coordinator))[0]?.wanted;
  await clock.advance(60_000);
  expect(await said()).toBe(100);

  const heard = new Set<number | undefined>();
  for (let round = 0; round < 30; round++) {
    wanted = round % 2 === 0 ? 101 : 100;
    await clock.advance(2_000);
    heard.add(await said());
  }
  expect([...heard]).toEqual([100]);

  wanted = 109;
  await clock.advance(8_000);
  expect(await said()).toBe(100);
  await clock.advance(12_000);
  expect(await said()).toBe(109);
  wanted = 108;
  await clock.advance(40_000);
  expect(await said()).toBe(108);
  stop.abort();
  await running;
});

test("what its partitions want is told in etcd, again when it has changed, and as a metric; the leader says what there is", async () => {
  const clock = new FakeClock();
  await using coordinator = createMemoryCoordinator({ clock });
  const membership = createMembership({ coordinator, clock, id: "s1", info: "{}", profile: fastLeaseProfile });
  const registry = new Registry();
  let demands: Demand[] = [
    { running: 2, wanted: 40 },
    { running: 1, wanted: 20 },
  ];
  let leads = true;
  const loop = reportSlotsLoop({
    ...{ clock, coordinator, membership, log: silentLogger, metrics: schedulerMetrics(registry) },
    demands: () => demands,
    isLeading: () => leads,
    links: () => [
      { slots: 64, slotsUsed: 10, draining: false, fenced: false, isOpen: true },
      { slots: 64, slotsUsed: 70, draining: false, fenced: false, isOpen: true },
      { slots: 64, slotsUsed: 0, draining: true, fenced: false, isOpen: true },
      { slots: 64, slotsUsed: 0, draining: false, fenced: true, isOpen: true },
      { slots: 64, slotsUsed: 0, draining: false, fenced: false, isOpen: false },
    ],
  });
  const stop = new AbortController();
  const running = Promise.all([membership.run(stop.signal), loop(stop.signal)]);
  const metric = async (name: string) => (await registry.getSingleMetric(name)?.get())?.values[0]?.value;

  await clock.advance(20_000);
  const [said] = await readSlots(coordinator);
  expect(said).toMatchObject({ memberId: "s1", running: 3 });
  expect(said?.wanted).toBeGreaterThan(54);
  expect(await metric("sluice_agent_slots_wanted")).toBe(60);
  expect(await metric("sluice_agent_slots_total")).toBe(128);
  expect(await metric("sluice_agent_slots_free")).toBe(54);

  demands = [];
  leads = false;
  await clock.advance(200_000);
  expect(await readSlots(coordinator)).toEqual([{ memberId: "s1", wanted: 0, running: 0 }]);
  expect(await metric("sluice_agent_slots_total")).toBe(0);
  stop.abort();
  await running;
});
