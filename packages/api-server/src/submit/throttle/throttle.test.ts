import type { Admission, Drop, QueueLoad } from "@sluice/coordination";
import { AccountId, FunctionName, otherFunctions } from "@sluice/core";
import { FakeClock, seededRandom } from "@sluice/core/testing";
import { type Arrivals, arrivalsTopic, parseArrivals } from "@sluice/queue";
import { createMemorySignals } from "@sluice/queue/memory";
import { Registry } from "prom-client";
import { expect, test } from "vitest";
import { apiServerMetrics } from "../../metrics.ts";
import { type Arrival, createSubmitThrottle } from "./throttle.ts";

const load: QueueLoad = { waiting: 9_000, ageMs: 1_000, drainPerSecond: 500, retryAfterMs: 13_000, othersDrop: 0 };
const validForMs = 5_000;

test("nobody is refused while the load-balancer says nothing", () => {
  const world = startWorld();
  expect(world.refused("noisy", 1_000)).toBe(0);
  world.say({});
  expect(world.refused("noisy", 1_000)).toBe(0);
});

test("a share of what the account submits is refused, and nothing of others", () => {
  const world = startWorld();
  world.say({ drops: [aDrop({ probability: 0.75 })] });
  const refused = world.refused("noisy", 10_000);
  expect(refused).toBeGreaterThan(7_300);
  expect(refused).toBeLessThan(7_700);
  expect(world.refused("good", 10_000)).toBe(0);
  expect(world.refused("noisy", 10_000, { queue: "q1" })).toBe(0);
});

test("only the function is refused that is too loud", () => {
  const world = startWorld();
  world.say({ drops: [aDrop({ functionName: FunctionName("loud") })] });
  expect(world.refused("noisy", 1_000, { functionName: FunctionName("loud") })).toBe(999);
  expect(world.refused("noisy", 1_000)).toBe(0);
});

test("what is refused of an account is refused of all its functions, and more of one that is louder", () => {
  const world = startWorld();
  world.say({ drops: [aDrop({ probability: 0.5 }), aDrop({ functionName: FunctionName("loud"), probability: 0.9 })] });
  const names = Array.from({ length: 2_000 }, (_, index) => FunctionName(`f${index}`));
  const errors = names.flatMap((functionName) => world.judge("noisy", 1, { functionName }));
  const refused = errors.filter((error) => error !== undefined);
  expect(refused.length).toBeGreaterThan(900);
  expect(refused.length).toBeLessThan(1_100);
  // However many functions there are, no more is kept of why it is refused.
  expect(new Set(refused).size).toBeLessThanOrEqual(16);
  const loud = world.refused("noisy", 2_000, { functionName: FunctionName("loud") });
  expect(loud).toBeGreaterThan(1_750);
  expect(loud).toBeLessThan(1_850);
});

test("a leader of the release before names the functions that have no line as one without a name: all of them are meant", () => {
  const world = startWorld();
  world.say({ drops: [aDrop({ functionName: otherFunctions, share: 120, rate: 4_000 })] });
  const errors = world.judge("noisy", 100, { functionName: FunctionName("any") });
  expect(errors.filter((error) => error !== undefined)).toHaveLength(99);
  expect(errors.at(-1)?.message).toMatch(/^the account submits 4000\/s, its fair share now is 120\/s/);
  expect(world.refused("good", 100)).toBe(0);
});

test("small accounts are refused alike when they alone are too many", () => {
  const world = startWorld();
  world.say({ othersDrop: 0.5 });
  const refused = world.refused("one-of-many", 2_000);
  expect(refused).toBeGreaterThan(900);
  expect(refused).toBeLessThan(1_100);
});

test("a refusal says why, and when to come back, not the same to all", () => {
  const world = startWorld();
  world.say({ drops: [aDrop({ share: 120, rate: 4_000 })] });
  const errors = world.judge("noisy", 100).filter((error) => error !== undefined);
  expect(errors[0]).toMatchObject({ code: "exhausted", reason: "THROTTLED" });
  expect(errors[0]?.message).toMatch(
    /^the account submits 4000\/s, its fair share now is 120\/s; 9000 tasks wait in its queue, of which 500\/s start; submit it again in 1\d s$/,
  );
  const delays = errors.map(({ retryAfterMs = 0 }) => retryAfterMs);
  expect(Math.min(...delays)).toBeGreaterThanOrEqual(10_400);
  expect(Math.max(...delays)).toBeLessThanOrEqual(15_600);
  expect(new Set(delays).size).toBeGreaterThan(10);
});

test("one submission per second and account gets through, whatever is refused", async () => {
  const world = startWorld();
  world.say({ drops: [aDrop({ probability: 1 })] });
  let admitted = 0;
  for (let second = 0; second < 4; second++) {
    admitted += 100 - world.refused("noisy", 100);
    await world.clock.advance(1_000);
  }
  expect(admitted).toBe(4);
});

test("without its load-balancer a drop holds for five seconds, then half of it goes each second", async () => {
  const world = startWorld();
  world.say({ drops: [aDrop({ probability: 0.8 })] });
  const shareAfter = async (ms: number) => {
    await world.clock.advance(ms);
    return world.refused("noisy", 20_000) / 20_000;
  };
  expect(await shareAfter(validForMs)).toBeCloseTo(0.8, 1);
  expect(await shareAfter(1_000)).toBeCloseTo(0.4, 1);
  expect(await shareAfter(1_000)).toBeCloseTo(0.2, 1);
  expect(await shareAfter(10_000)).toBe(0);
});

test("a full queue takes nothing, counting what was admitted since the load-balancer looked", () => {
  const world = startWorld({ queueBacklogMax: 10_000, isOn: false });
  world.say({ drops: [aDrop({ probability: 1 })] });
  const errors = world.judge("good", 1_500);
  expect(errors.filter((error) => error === undefined)).toHaveLength(1_000);
  expect(errors.at(-1)?.message).toMatch(/^its queue is full: 9000 tasks wait there, at most 10000 may/);
  world.say({ waiting: 100 });
  expect(world.refused("good", 1_500)).toBe(0);
});

test("what is submitted is reported every second, refused or not, and silence is not", async () => {
  const world = startWorld();
  world.say({ drops: [aDrop({ probability: 0.9 })] });
  const stop = new AbortController();
  const running = world.throttle.run(stop.signal);
  world.judge("noisy", 300);
  world.judge("good", 10, { queue: "q1" });
  await world.clock.advance(1_000);
  await world.clock.advance(5_000);
  stop.abort();
  await world.clock.settle();
  await running;
  const rates = world.reports.map(({ totals, flows }) => ({
    totals: [...totals],
    flows: flows.map(({ accountId, perSecond, waiting }) => [accountId, perSecond, waiting]),
  }));
  const totals = [
    ["q0", 300],
    ["q1", 10],
  ];
  const flows = [
    ["noisy", 300, 7],
    ["good", 10, 7],
  ];
  expect(rates).toEqual([{ totals, flows }]);
});

function aDrop(more: Partial<Drop>): Drop {
  const accountId = AccountId("noisy");
  return { accountId, functionName: undefined, queue: "q0", probability: 1, share: 10, rate: 1_000, ...more };
}

function startWorld({ queueBacklogMax = 1_000_000, isOn = true } = {}) {
  const clock = new FakeClock();
  const signals = createMemorySignals();
  const reports: Arrivals[] = [];
  signals.listen(arrivalsTopic, (payload) => {
    const report = parseArrivals(payload);
    if (report !== undefined) reports.push(report);
  });
  let said: { readonly admission: Admission; readonly at: number } | undefined;
  const throttle = createSubmitThrottle({
    clock,
    random: seededRandom(1),
    signals,
    metrics: apiServerMetrics(new Registry()),
    admission: {
      current: () => said && { admission: said.admission, ageMs: clock.monotonic() - said.at },
    },
    waitingOf: () => 7,
    isOn,
    queueBacklogMax,
  });
  const judge = (account: string, count: number, more: Partial<Arrival> = {}) => {
    const arrival = { accountId: AccountId(account), functionName: FunctionName("f"), queue: "q0", ...more };
    return throttle.judge(new Array<Arrival>(count).fill(arrival));
  };
  return {
    clock,
    throttle,
    reports,
    judge,
    refused: (...of: Parameters<typeof judge>) => judge(...of).filter((error) => error !== undefined).length,
    say({ drops = [], ...more }: Partial<QueueLoad> & { readonly drops?: readonly Drop[] }) {
      const queues = new Map([["q0", { ...load, ...more }]]);
      said = { admission: { at: clock.now(), validForMs, queues, drops }, at: clock.monotonic() };
    },
  };
}
