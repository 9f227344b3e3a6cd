import { AccountId, FunctionName } from "@sluice/core";
import { FakeClock } from "@sluice/core/testing";
import { silentLogger } from "@sluice/runtime";
import { expect, test } from "vitest";
import { createRouteFollower } from "./follow-routes.ts";
import { leaderKey, routeKey } from "./keys.ts";
import { createMemoryCoordinator } from "./memory.ts";
import { deleteRoute, type FlowRoute, readRoutes, writeRoute } from "./routes.ts";
import { createFaultyCoordinator, type Fault } from "./testing/index.ts";

const flow = { accountId: AccountId("acme"), functionName: FunctionName("train") };
const other = { accountId: AccountId("acme"), functionName: FunctionName("other") };
const route: FlowRoute = {
  ...flow,
  queue: "d0123456789abcdef",
  state: "open",
  reason: "asked",
  changedAt: 1_000,
  modRevision: 0,
};

test("a route is read as it was written, and changed only by whoever read it last", async () => {
  const { coordinator } = startWorld();
  expect(await writeRoute(coordinator, route)).toBe(true);
  const [read] = await readRoutes(coordinator);
  expect(read).toEqual({ ...route, modRevision: expect.any(Number) });
  if (read === undefined) throw new Error("nothing was written");
  expect(await writeRoute(coordinator, { ...read, state: "folding", idleSince: 5 })).toBe(true);
  expect(await writeRoute(coordinator, { ...read, reason: "hot" })).toBe(false);
  expect(await deleteRoute(coordinator, read)).toBe(false);
  const [folding] = await readRoutes(coordinator);
  expect(folding).toMatchObject({ state: "folding", idleSince: 5, reason: "asked" });
  if (folding === undefined) throw new Error("it is gone");
  expect(await deleteRoute(coordinator, folding)).toBe(true);
  expect(await deleteRoute(coordinator, folding)).toBe(true);
  expect(await readRoutes(coordinator)).toEqual([]);
});

test("whoever does not lead any more changes nothing", async () => {
  const { coordinator } = startWorld();
  expect(await writeRoute(coordinator, route, [{ key: leaderKey, is: "present" }])).toBe(false);
  expect(await readRoutes(coordinator)).toEqual([]);
});

test("a writer whose answer was lost recognises its success; an open outcome is no answer", async () => {
  const world = startWorld();
  world.fault = (call) => (call === "commit" ? "unheard" : undefined);
  expect(await writeRoute(world.coordinator, route)).toBe(true);
  world.fault = undefined;
  const [read] = await readRoutes(world.coordinator);
  if (read === undefined) throw new Error("nothing was written");
  world.fault = (call) => (call === "commit" ? "unheard" : undefined);
  expect(await deleteRoute(world.coordinator, read)).toBe(true);
  world.fault = (call) => (call === "commit" ? "refused" : undefined);
  await expect(writeRoute(world.coordinator, route)).rejects.toMatchObject({ reason: "COORDINATOR_UNAVAILABLE" });
});

test("what cannot be understood is no route; reasons of later releases are some reason", async () => {
  const { coordinator } = startWorld();
  const put = (key: string, value: string) => coordinator.commit([], [{ op: "put", key, value }]);
  const fields = { queue: route.queue, state: "open", reason: "asked", changedAt: 1 };
  for (const [index, value] of [
    "no json",
    "null",
    JSON.stringify({ ...fields, queue: "a.b" }),
    JSON.stringify({ ...fields, state: "resting" }),
    JSON.stringify({ ...fields, changedAt: "soon" }),
  ].entries()) {
    await put(`/routes/acme/f${index}`, value);
  }
  await put("/routes/acme", JSON.stringify(fields));
  await put("/routes/acme/a/b", JSON.stringify(fields));
  expect(await readRoutes(coordinator)).toEqual([]);
  await put(routeKey(flow), JSON.stringify({ ...fields, reason: "whim", colour: "green" }));
  expect(await readRoutes(coordinator)).toMatchObject([{ ...flow, reason: "other" }]);
});

test("only an open route is followed, from the moment when it is known", async () => {
  await using world = startWorld();
  const { clock, coordinator, follower } = world;
  expect(follower.ageMs()).toBe(Number.POSITIVE_INFINITY);
  await clock.advance(10);
  expect(follower.ageMs()).toBeLessThanOrEqual(10);
  await writeRoute(coordinator, { ...route, state: "opening" });
  await clock.advance(100);
  expect(follower.routes).toHaveLength(1);
  expect(follower.routeOf(flow)?.state).toBe("opening");
  expect(follower.dedicatedQueueOf(flow)).toBeUndefined();
  expect(follower.unchangedMs(flow)).toBeGreaterThan(100);
  const [opening] = await readRoutes(coordinator);
  await writeRoute(coordinator, { ...route, modRevision: opening?.modRevision ?? 0 });
  await clock.advance(100);
  expect(follower.dedicatedQueueOf(flow)).toBe(route.queue);
  expect(follower.unchangedMs(flow)).toBeLessThanOrEqual(100);
  expect(follower.dedicatedQueueOf(other)).toBeUndefined();
  expect(follower.unchangedMs(other)).toBeGreaterThan(200);
  const [open] = await readRoutes(coordinator);
  if (open !== undefined) await deleteRoute(coordinator, open);
  await clock.advance(100);
  expect(follower.dedicatedQueueOf(flow)).toBeUndefined();
  expect(follower.unchangedMs(flow)).toBeLessThanOrEqual(100);
  expect([follower.hasChanged(flow), follower.hasChanged(other)]).toEqual([true, false]);
});

test("without etcd the routes stay and age, and are found without a hint afterwards", async () => {
  await using world = startWorld();
  await world.clock.advance(10);
  world.fault = () => "hangs";
  await world.clock.advance(20_000);
  expect(world.follower.ageMs()).toBeGreaterThan(15_000);
  await writeRoute(world.direct, route);
  world.fault = undefined;
  await world.clock.advance(4_500);
  expect(world.follower.ageMs()).toBeLessThan(5_000);
  expect(world.follower.dedicatedQueueOf(flow)).toBe(route.queue);
});

function startWorld() {
  const clock = new FakeClock();
  const direct = createMemoryCoordinator({ clock });
  let fault: ((call: string) => Fault | undefined) | undefined;
  const coordinator = createFaultyCoordinator({ coordinator: direct, clock, fault: (call) => fault?.(call) });
  const follower = createRouteFollower({ coordinator, clock, log: silentLogger });
  const stop = new AbortController();
  const done = follower.run(stop.signal);
  return {
    clock,
    direct,
    coordinator,
    follower,
    set fault(value: typeof fault) {
      fault = value;
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await done;
    },
  };
}
