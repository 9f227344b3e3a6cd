import { type LoadReport, leaderKey, readAdmission, type Wish } from "@sluice/coordination";
import { createMemoryCoordinator } from "@sluice/coordination/memory";
import { AccountId, FunctionName } from "@sluice/core";
import { FakeClock } from "@sluice/core/testing";
import { arrivalsTopic, formatArrivals, reportedFlowsMax } from "@sluice/queue";
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

test("shares go by the weights of the accounts, which are read seldom; unknown ones count as 1", async () => {
  await using world = await startWorld();
  const shares = async () => {
    await world.second({ waiting: 8_000, noisyPerSecond: 5_000, others: { heavy: 5_000 } });
    const { admission } = await readAdmission(world.coordinator);
    return Object.fromEntries((admission?.drops ?? []).map(({ accountId, share }) => [accountId, share]));
  };
  world.weights.set("heavy", 3);
  expect(await shares()).toEqual({ heavy: 50, noisy: 50 });
  expect(await shares()).toEqual({ heavy: 75, noisy: 25 });
  world.weights.set("noisy", 2);
  for (let second = 0; second < 9; second++) await shares();
  expect(world.reads).toEqual([["noisy", "heavy"]]);
  for (let second = 0; second < 3; second++) await shares();
  expect(await shares()).toEqual({ heavy: 60, noisy: 40 });
  expect(world.reads).toHaveLength(2);
});

test("functions are named while there is room for every account that is refused", async () => {
  await using world = await startWorld();
  const functionsOfEach = 9;
  const namesAfter = async (accounts: number) => {
    const others = Object.fromEntries(Array.from({ length: accounts }, (_, index) => [`loud-${index}`, 1]));
    await world.second({ waiting: 8_000, noisyPerSecond: 1, others, functionsOfEach });
    const drops = (await readAdmission(world.coordinator)).admission?.drops ?? [];
    const ofFunctions = drops.filter(({ functionName }) => functionName !== undefined).length;
    return { accounts: new Set(drops.map(({ accountId }) => accountId)).size, ofFunctions };
  };
  expect(await namesAfter(9)).toEqual({ accounts: 10, ofFunctions: 10 * defaultSolveConfig.functionsMax });
  expect(await namesAfter(300)).toEqual({ accounts: 301, ofFunctions: 0 });
});

test("while weights cannot be read those that are known hold, and the document is written all the same", async () => {
  await using world = await startWorld();
  world.weights.set("noisy", "away");
  await world.second({ waiting: 8_000, noisyPerSecond: 5_000 });
  await world.second({ waiting: 8_000, noisyPerSecond: 5_000 });
  expect((await readAdmission(world.coordinator)).admission?.drops).toMatchObject([{ accountId: "noisy", share: 100 }]);
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
  const weights = new Map<string, number | "away">();
  const reads: string[][] = [];
  const throttle = createAdmissionThrottle({
    coordinator,
    signals,
    clock,
    metrics: loadBalancerMetrics(new Registry()),
    config: { ...defaultSolveConfig, backlogMin: 1_000 },
    async weights(ids) {
      reads.push([...ids]);
      return new Map(
        ids.map((id) => {
          const weight = weights.get(id) ?? 1;
          if (weight === "away") throw new Error("the store is away");
          return [id, weight];
        }),
      );
    },
  });
  const stop = throttle.listen();
  return {
    clock,
    coordinator,
    throttle,
    weights,
    reads,
    async second({ waiting, noisyPerSecond, memberId = "s1", others = {}, functionsOfEach = 1 }: Second) {
      const all = Object.entries({ noisy: noisyPerSecond, ...others }).flatMap(([account, perSecond]) =>
        Array.from({ length: functionsOfEach }, (_, index) => ({
          ...{ queue: "q0", accountId: AccountId(account), functionName: FunctionName(`f${index}`) },
          ...{ perSecond: perSecond * (1 + index), waiting: undefined },
        })),
      );
      for (let from = 0; from < all.length && noisyPerSecond > 0; from += reportedFlowsMax) {
        const flows = all.slice(from, from + reportedFlowsMax);
        const totals = new Map([["q0", flows.reduce((sum, { perSecond }) => sum + perSecond, from === 0 ? 100 : 0)]]);
        signals.send(arrivalsTopic, formatArrivals({ serverId: `a${from}`, totals, flows }));
      }
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

interface Second {
  readonly waiting: number;
  readonly noisyPerSecond: number;
  readonly memberId?: string;
  /** Submissions per second of further accounts. */
  readonly others?: Readonly<Record<string, number>>;
  /** The second of them twice as loud, the third three times. Default: 1. */
  readonly functionsOfEach?: number;
}
