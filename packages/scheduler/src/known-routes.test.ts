// The real follower on the memory coordinator: what a flow was given is taken away in all the ways that there are.
import { createRouteFollower, deleteRoute, newRoute, readRoutes, writeRoute } from "@sluice/coordination";
import { createMemoryCoordinator } from "@sluice/coordination/memory";
import { AccountId, FunctionName } from "@sluice/core";
import { FakeClock } from "@sluice/core/testing";
import { silentLogger } from "@sluice/runtime";
import { expect, test } from "vitest";
import { knownRoutes } from "./known-routes.ts";

const flow = { accountId: AccountId("acme"), functionName: FunctionName("train") };
const other = { accountId: AccountId("acme"), functionName: FunctionName("other") };
const route = newRoute(flow, "asked", 1_000);

const none = { dedicatedQueue: undefined, unchangedMs: expect.any(Number), wasRouted: false };
const gone = { ...none, wasRouted: true };

test("a flow that was never routed, and one whose first route only opens, have no route", async () => {
  await using world = startWorld();
  await world.write({ ...route, state: "opening" });
  expect(world.routes.of(flow)).toEqual(none);
  expect(world.routes.of(other)).toEqual(none);
});

test("an open route is known with its queue, one that folds without", async () => {
  await using world = startWorld();
  await world.write({ ...route, state: "open" });
  expect(world.routes.of(flow)).toEqual({
    dedicatedQueue: route.queue,
    unchangedMs: expect.any(Number),
    wasRouted: true,
  });
  await world.write({ ...route, state: "folding" });
  expect(world.routes.of(flow)).toEqual(gone);
});

test("a route that etcd has lost is not taken for one that never was: much may still run in its queue", async () => {
  await using world = startWorld();
  await world.write({ ...route, state: "open" });
  await world.lose();
  expect(world.routes.of(flow)).toEqual(gone);
  expect(world.routes.of(flow).unchangedMs).toBeLessThanOrEqual(100);
  expect(world.routes.of(other)).toEqual(none);
  await world.write({ ...route, state: "opening" });
  expect(world.routes.of(flow)).toEqual(gone);
});

function startWorld() {
  const clock = new FakeClock();
  const coordinator = createMemoryCoordinator({ clock });
  const follower = createRouteFollower({ coordinator, clock, log: silentLogger });
  const stop = new AbortController();
  const done = follower.run(stop.signal);
  const current = async () => (await readRoutes(coordinator))[0];
  return {
    routes: knownRoutes(follower),
    /** Over whatever is written, and waits until it is known. */
    async write(next: typeof route) {
      await writeRoute(coordinator, { ...next, modRevision: (await current())?.modRevision ?? 0 });
      await clock.advance(100);
    },
    async lose() {
      const lost = await current();
      if (lost !== undefined) await deleteRoute(coordinator, lost);
      await clock.advance(100);
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await done;
    },
  };
}
