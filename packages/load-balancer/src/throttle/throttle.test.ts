import { type LoadReport, leaderKey, readAdmission, type Wish } from "@sluice/coordination";
import { createMemoryCoordinator } from "@sluice/coordination/memory";
import { AccountId, FunctionName } from "@sluice/core";
import { FakeClock } from "@sluice/core/testing";
import { arrivalsTopic, formatArrivals } from "@sluice/queue";
import { createMemorySignals } from "@sluice/queue/memory";
import { Registry } from "prom-client";
import { expect, test } from "vitest";
import { loadBalancerMetrics } from "../metrics.ts";
import { defaultSolveConfig } from "./solve.ts";
import { admissionValidForMs, createAdmissionThrottle } from "./throttle.ts";

const wish: Wish = { queue: "q0", partitions: [{ prefix: "", ownerId: "s1" }], modRevision: 1 };
const leadership = { key: leaderKey, is: "present" } as const;

test("who fills a queue is named, with its share, until the queue is empty", async () => {
  await using world = await startWorld();
  await world.second({ waiting: 8_000, noisyPerSecond: 5_000 });
  const { admission } = await readAdmission(world.coordinator);
  expect(admission?.queues.get("q0")).toMatchObject({ waiting: 8_000, drainPerSecond: 500, retryAfterMs: 11_000 });
  expect(admission?.drops).toMatchObject([{ accountId: "noisy", queue: "q0", share: 100, rate: 5_000 }]);
  await world.second({ waiting: 0, noisyPerSecond: 0 });
  expect((await readAdmission(world.coordinator)).admission?.drops).toEqual([]);
});

test("what an earlier owner says of a partition does not count", async () => {
  await using world = await startWorld();
  await world.second({ waiting: 8_000, noisyPerSecond: 5_000, memberId: "gone" });
  const { admission } = await readAdmission(world.coordinator);
  expect(admission?.queues.size).toBe(0);
});

test("the document is written before it is overdue while it says something, and not otherwise", async () => {
  await using world = await startWorld();
  const writesOf = async (seconds: number, waiting: number) => {
    const before = (await readAdmission(world.coordinator)).modRevision;
    const revisions = new Set<number>();
    let oldest = 0;
    for (let at = 0; at < seconds; at++) {
      await world.second({ waiting, noisyPerSecond: 0 });
      const { admission, modRevision } = await readAdmission(world.coordinator);
      oldest = Math.max(oldest, world.clock.now() - (admission?.at ?? 0));
      if (modRevision !== before) revisions.add(modRevision);
    }
    return { writes: revisions.size, oldest };
  };
  const speaking = await writesOf(20, 70);
  expect(speaking.oldest).toBeLessThan(admissionValidForMs);
  expect(speaking.writes).toBeLessThan(9);
  expect((await writesOf(20, 0)).writes).toBe(1);
});

test("a new leader goes on throttling what was throttled", async () => {
  await using world = await startWorld();
  await world.second({ waiting: 8_000, noisyPerSecond: 5_000 });
  world.throttle.forget();
  // Below the reference, and above half of it.
  await world.second({ waiting: 4_000, noisyPerSecond: 5_000 });
  expect((await readAdmission(world.coordinator)).admission?.drops).toHaveLength(1);
});

test("who does not lead any more changes nothing", async () => {
  await using world = await startWorld();
  await world.coordinator.commit([], [{ op: "delete", key: leaderKey }]);
  await world.second({ waiting: 8_000, noisyPerSecond: 5_000 });
  expect((await readAdmission(world.coordinator)).admission).toBeUndefined();
});

async function startWorld() {
  const clock = new FakeClock();
  const coordinator = createMemoryCoordinator({ clock });
  await coordinator.commit([], [{ op: "put", key: leaderKey, value: "s1" }]);
  const signals = createMemorySignals();
  const throttle = createAdmissionThrottle({
    coordinator,
    signals,
    clock,
    metrics: loadBalancerMetrics(new Registry()),
    config: { ...defaultSolveConfig, backlogMin: 1_000 },
  });
  const stop = throttle.listen();
  return {
    clock,
    coordinator,
    throttle,
    async second(facts: { readonly waiting: number; readonly noisyPerSecond: number; readonly memberId?: string }) {
      const { waiting, noisyPerSecond, memberId = "s1" } = facts;
      const [accountId, functionName] = [AccountId("noisy"), FunctionName("f")];
      const noisy = { queue: "q0", accountId, functionName, perSecond: noisyPerSecond, waiting: undefined };
      const totals = new Map([["q0", noisyPerSecond + 100]]);
      if (noisyPerSecond > 0) signals.send(arrivalsTopic, formatArrivals({ serverId: "a1", totals, flows: [noisy] }));
      await clock.advance(1_000);
      const load = { queue: "q0", prefix: "", waiting, backlogAgeMs: 10, dispatchedPerSecond: 500 };
      const reports: LoadReport[] = [{ memberId, partitions: waiting > 0 ? [load] : [], isCut: false }];
      await throttle.round({ wishes: [wish], reports, leadership });
    },
    async [Symbol.asyncDispose]() {
      stop();
      await coordinator[Symbol.asyncDispose]();
    },
  };
}
