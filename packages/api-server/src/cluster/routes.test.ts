import { deleteRoute, newRoute, readRoutes, routesMaxDefault, writeRoute } from "@sluice/coordination";
import { createMemoryCoordinator } from "@sluice/coordination/memory";
import { dedicatedQueueOf, FunctionName } from "@sluice/core";
import { FakeClock } from "@sluice/core/testing";
import { RouteState } from "@sluice/protocol";
import type { Store } from "@sluice/store";
import { openPglite } from "@sluice/store/pglite";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { anAccountWithEcho, startTestApi, type TestAccount, type TestApi } from "../testing/test-api.ts";

const clock = new FakeClock();
const coordinator = createMemoryCoordinator({ clock });
let store: Store;
let api: TestApi;
let operator: TestAccount;
const echo = FunctionName("echo");

beforeAll(async () => {
  store = await openPglite({ dataDir: "memory", inWorker: false, clock });
  const setUp = startTestApi({ store, clock });
  operator = await anAccountWithEcho(setUp, store);
  await setUp.stop();
  api = startTestApi({ store, clock, coordinator, config: { operatorAccounts: [operator.accountId] } });
});
beforeEach(async () => {
  for (const route of await readRoutes(coordinator)) await deleteRoute(coordinator, route);
});
afterAll(async () => {
  await api.stop();
  await store[Symbol.asyncDispose]();
});

const named = () => ({ account: operator.accountId, function: echo });
const add = () => api.cluster.addRoute(named(), operator.call());
const remove = () => api.cluster.removeRoute(named(), operator.call());

test("a function is given a queue of its own, which is listed, and loses it again", async () => {
  const queue = dedicatedQueueOf({ accountId: operator.accountId, functionName: echo });
  const route = { account: operator.accountId, function: "echo", queue, reason: "command", idleSinceMs: 0 };
  expect(await add()).toMatchObject({ route: { ...route, state: RouteState.OPENING }, changed: true });
  expect(await add()).toMatchObject({ changed: false });
  expect((await api.cluster.listRoutes({}, operator.call())).routes).toMatchObject([route]);
  expect(await remove()).toMatchObject({ route: { ...route, state: RouteState.FOLDING }, changed: true });
  expect(await remove()).toMatchObject({ changed: false });
  expect(await add()).toMatchObject({ route: { ...route, state: RouteState.OPENING }, changed: true });
  const { events } = await api.cluster.listEvents({ queue, limit: 0 }, operator.call());
  const by = { reason: "command", by: operator.accountId, account: operator.accountId, function: "echo" };
  expect(events).toMatchObject([
    { kind: "route folding", ...by },
    { kind: "route opening", ...by },
  ]);
});

test("a queue that a function has because it asks stays open, and is kept although it asks no more", async () => {
  const asked = newRoute({ accountId: operator.accountId, functionName: echo }, "asked", clock.now());
  await writeRoute(coordinator, { ...asked, state: "open" });
  expect(await add()).toMatchObject({ route: { state: RouteState.OPEN, reason: "command" }, changed: true });
});

test("what is not there is not found, and there are at most so many", async () => {
  await expect(remove()).rejects.toMatchObject({ reason: "ROUTE_NOT_FOUND" });
  const unknown = { account: operator.accountId, function: "unknown" };
  await expect(api.cluster.addRoute(unknown, operator.call())).rejects.toMatchObject({ reason: "FUNCTION_NOT_FOUND" });
  for (let index = 0; index < routesMaxDefault; index++) {
    const flow = { accountId: operator.accountId, functionName: FunctionName(`f${index}`) };
    await writeRoute(coordinator, newRoute(flow, "asked", clock.now()));
  }
  await expect(add()).rejects.toMatchObject({ reason: "TOO_MANY_ROUTES" });
});
