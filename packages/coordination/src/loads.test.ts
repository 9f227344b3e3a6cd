import { aFlow, FakeClock } from "@sluice/core/testing";
import { expect, test } from "vitest";
import { loadsKey } from "./keys.ts";
import {
  type FlowLoad,
  type LoadReport,
  type PartitionLoad,
  readLoads,
  readyOf,
  reportedPartitionsMax,
  writeLoads,
} from "./loads.ts";
import { createMemoryCoordinator } from "./memory.ts";

const load = { waiting: 1_200, backlogAgeMs: 3_400, dispatchedPerSecond: 250.5 };

test("what members say of their partitions is read by everybody, and goes with their leases", async () => {
  const clock = new FakeClock();
  await using coordinator = createMemoryCoordinator({ clock });
  const lease = await coordinator.grant(1_000);
  const report: LoadReport = {
    memberId: "s1",
    partitions: [
      { queue: "q0", prefix: "", ...load },
      { queue: "q1", prefix: "0110", ...load, parked: 900 },
      { queue: "q2", prefix: "", ...load, ready: { waiting: 0, ageMs: 0 } },
      { queue: "q3", prefix: "", ...load, parked: 900, ready: { waiting: 7, ageMs: 30 } },
    ],
    isCut: false,
  };
  await writeLoads(coordinator, report, lease);
  expect(await readLoads(coordinator)).toEqual([report]);
  await writeLoads(coordinator, { memberId: "s1", partitions: [], isCut: true }, lease);
  expect(await readLoads(coordinator)).toEqual([{ memberId: "s1", partitions: [], isCut: true }]);
  await clock.advance(1_001);
  expect(await readLoads(coordinator)).toEqual([]);
  const late = writeLoads(coordinator, report, lease);
  await expect(late).rejects.toMatchObject({ reason: "LEASE_GONE" });
});

test("what cannot be read of a report is left out", async () => {
  await using coordinator = createMemoryCoordinator({ clock: new FakeClock() });
  const good = ["q0/-", 1, 2, 3];
  const loads = [good, ["q0", 1, 2, 3], ["q0/2", 1, 2, 3], ["q0/0", -1, 2, 3], ["q0/0", 1, 2], "q0/0", null];
  for (const [id, value] of ["", "null", "[]", '{"loads":7}', JSON.stringify({ loads })].entries()) {
    await coordinator.commit([], [{ op: "put", key: loadsKey(`s${id}`), value }]);
  }
  const partitions = [{ queue: "q0", prefix: "", waiting: 1, backlogAgeMs: 2, dispatchedPerSecond: 3 }];
  expect(await readLoads(coordinator)).toEqual([{ memberId: "s4", partitions, isCut: false }]);
});

test("a report of a release that does not tell what is ready is read, and reads one that does", async () => {
  await using coordinator = createMemoryCoordinator({ clock: new FakeClock() });
  const lease = await coordinator.grant(1_000);
  const ready = { waiting: 7, ageMs: 30 };
  await writeLoads(
    coordinator,
    { memberId: "s1", partitions: [{ queue: "q0", prefix: "", ...load, ready }], isCut: false },
    lease,
  );
  // What is parked has kept its place.
  const { loads } = JSON.parse((await coordinator.get(loadsKey("s1")))?.value ?? "");
  expect(loads).toEqual([["q0/-", 1_200, 3_400, 250.5, 0, 7, 30]]);
  const value = JSON.stringify({ loads: [["q0/-", 1_200, 3_400, 250.5, 900]] });
  await coordinator.commit([], [{ op: "put", key: loadsKey("s1"), value }]);
  const [report] = await readLoads(coordinator);
  expect(report?.partitions).toEqual([{ queue: "q0", prefix: "", ...load, parked: 900 }]);
  expect(report?.partitions.map(readyOf)).toEqual([{ waiting: 1_200, ageMs: 3_400 }]);
});

test("the longest report is small", async () => {
  await using coordinator = createMemoryCoordinator({ clock: new FakeClock() });
  const lease = await coordinator.grant(1_000);
  const busy = (index: number): PartitionLoad => ({
    queue: `a-queue-of-its-own-for-a-large-customer-${index}`,
    prefix: "01101",
    waiting: 1_000_000,
    backlogAgeMs: 86_400_000,
    dispatchedPerSecond: 20_000,
    parked: 1_000_000,
    ready: { waiting: 1_000_000, ageMs: 86_400_000 },
  });
  const partitions = Array.from({ length: reportedPartitionsMax }, (_, index) => busy(index));
  await writeLoads(coordinator, { memberId: "s1", partitions, isCut: true }, lease);
  expect((await coordinator.get(loadsKey("s1")))?.value.length).toBeLessThan(4_096);
});

test("flows are reported beside the partitions; what cannot be read of them is left out", async () => {
  const clock = new FakeClock();
  await using coordinator = createMemoryCoordinator({ clock });
  const lease = await coordinator.grant(1_000);
  const flows: readonly FlowLoad[] = [
    { ...aFlow(), waiting: 7, dispatchedPerSecond: 1.5, asksFor: "latency" },
    { ...aFlow({ function: "hot" }), waiting: 9_000, dispatchedPerSecond: 900, asksFor: "nothing" },
  ];
  await writeLoads(coordinator, { memberId: "s1", partitions: [], isCut: false, flows }, lease);
  expect((await readLoads(coordinator))[0]?.flows).toEqual(flows);
  const items = [["a/b", 1, 2, 9], ["a", 1, 2, 0], ["a/b/c", 1, 2, 0], ["a/b", -1, 2, 0], ["a/b", 1, 2], "a/b", null];
  const value = JSON.stringify({ loads: [], flows: items });
  await coordinator.commit([], [{ op: "put", key: loadsKey("s1"), value }]);
  const known = { accountId: "a", functionName: "b", waiting: 1, dispatchedPerSecond: 2, asksFor: "nothing" };
  expect((await readLoads(coordinator))[0]?.flows).toEqual([known]);
});

test("how busy an owner is goes with its report; what is no share is left out", async () => {
  await using coordinator = createMemoryCoordinator({ clock: new FakeClock() });
  const lease = await coordinator.grant(1_000);
  await writeLoads(coordinator, { memberId: "s1", partitions: [], isCut: false, busy: 0.75 }, lease);
  expect(await readLoads(coordinator)).toEqual([{ memberId: "s1", partitions: [], isCut: false, busy: 0.75 }]);
  for (const busy of [-1, 1.5, "much", null]) {
    await coordinator.commit([], [{ op: "put", key: loadsKey("s1"), value: JSON.stringify({ loads: [], busy }) }]);
    expect(await readLoads(coordinator)).toEqual([{ memberId: "s1", partitions: [], isCut: false }]);
  }
});
