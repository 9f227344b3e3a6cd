import type { Admission, FollowedAdmission } from "@sluice/coordination";
import { AccountId, type Flow, FunctionName, homeOf, queuesOfAccount, sharedQueues } from "@sluice/core";
import { FakeClock } from "@sluice/core/testing";
import { Registry } from "prom-client";
import { expect, test } from "vitest";
import { apiServerMetrics } from "../../metrics.ts";
import { createRouting, routesBelievedMs } from "./routing.ts";

const flow: Flow = { accountId: AccountId("acme"), functionName: FunctionName("train") };
const none = { function: { concurrencyMax: 0, rateMax: 0 }, account: undefined };
const queues = sharedQueues();
const [first = "", second = ""] = queuesOfAccount(flow.accountId, queues);

test("while nobody says how full the queues are, or says it no more, an account uses its first one", () => {
  const world = startWorld();
  expect(world.queue()).toBe(first);
  world.says({ [first]: 10_000 });
  expect(world.queue()).toBe(second);
  world.saidAgoMs = 60_000;
  expect(world.queue()).toBe(first);
});

test("an account goes to the shorter one of its queues, and stays there for a while", async () => {
  const world = startWorld();
  world.says({ [first]: 10_000, [second]: 1_000 });
  expect(world.queue()).toBe(second);
  world.says({ [first]: 0, [second]: 10_000 });
  await world.clock.advance(5_000);
  expect(world.queue()).toBe(second);
  await world.clock.advance(6_000);
  expect(world.queue()).toBe(first);
});

test("two queues that are about as long are not taken in turns", async () => {
  const world = startWorld();
  const used = new Set<string>();
  for (let round = 0; round < 20; round++) {
    world.says(round % 2 === 0 ? { [first]: 1_000, [second]: 800 } : { [first]: 800, [second]: 1_000 });
    used.add(world.queue());
    await world.clock.advance(11_000);
  }
  expect([...used]).toEqual([first]);
});

test("a flow's own queue is used while routes are known, and not when they may be old", () => {
  const world = startWorld();
  world.says({ [first]: 10_000 });
  world.ownQueue = "d0123456789abcdef";
  expect(world.queue()).toBe("d0123456789abcdef");
  world.routesAgeMs = routesBelievedMs + 1;
  expect(world.queue()).toBe(second);
});

test("a limited flow always goes to its home", () => {
  const world = startWorld();
  world.says({ [first]: 10_000 });
  const limits = { function: { concurrencyMax: 1, rateMax: 0 }, account: undefined };
  expect(world.routing.routeOf(flow, limits)).toEqual(homeOf(flow, limits));
  world.ownQueue = "d0123456789abcdef";
  expect(world.routing.routeOf(flow, limits)).toEqual(homeOf(flow, { ...limits, dedicatedQueue: world.ownQueue }));
});

function startWorld() {
  const clock = new FakeClock();
  const state = {
    clock,
    followed: undefined as FollowedAdmission | undefined,
    ownQueue: undefined as string | undefined,
    routesAgeMs: 0,
    set saidAgoMs(ageMs: number) {
      if (state.followed !== undefined) state.followed = { ...state.followed, ageMs };
    },
    says(waiting: Readonly<Record<string, number>>): void {
      const loads = Object.entries(waiting).map(
        ([queue, count]) =>
          [queue, { waiting: count, ageMs: 0, drainPerSecond: 0, retryAfterMs: 0, othersDrop: 0 }] as const,
      );
      const admission: Admission = { at: clock.now(), validForMs: 5_000, queues: new Map(loads), drops: [] };
      state.followed = { admission, ageMs: 0 };
    },
    queue: () => routing.routeOf(flow, none).queue,
    get routing() {
      return routing;
    },
  };
  const routing = createRouting({
    clock,
    metrics: apiServerMetrics(new Registry()),
    routes: { dedicatedQueueOf: () => state.ownQueue, ageMs: () => state.routesAgeMs },
    admission: { current: () => state.followed },
    queues,
  });
  return state;
}
