import {
  defaultRouteLimits,
  deleteRoute,
  newRoute,
  type RouteReason,
  readRoutes,
  writeRoute,
} from "@sluice/coordination";
import { createMemoryCoordinator } from "@sluice/coordination/memory";
import { AccountId, AppError, dedicatedQueueOf, FunctionName } from "@sluice/core";
import { FakeClock } from "@sluice/core/testing";
import { type FunctionSettings, RouteState } from "@sluice/protocol";
import type { Store } from "@sluice/store";
import { openPglite } from "@sluice/store/pglite";
import { afterAll, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { routesBelievedMs } from "../submit/routing/routing.ts";
import { anAccountWithEcho, startTestApi, type TestAccount, type TestApi } from "../testing/test-api.ts";

const clock = new FakeClock();
const coordinator = createMemoryCoordinator({ clock });
const echo = FunctionName("echo");
let store: Store;
let api: TestApi;
let account: TestAccount;

beforeAll(async () => {
  store = await openPglite({ dataDir: "memory", inWorker: false, clock });
  api = startTestApi({ store, clock, coordinator });
});
beforeEach(async () => {
  for (const route of await readRoutes(coordinator)) await deleteRoute(coordinator, route);
  account = await anAccountWithEcho(api, store);
});
afterAll(async () => {
  await api.stop();
  await store[Symbol.asyncDispose]();
});

async function set(settings: Partial<FunctionSettings>): Promise<void> {
  const request = { name: echo, settings, codeZip: Buffer.alloc(0) };
  await api.functions.updateFunction(request, account.call());
}

/** As `get` says, when the routes that are written have been heard of. */
async function queue() {
  await clock.advance(5_000);
  return (await api.functions.getFunction({ name: echo }, account.call())).queue;
}

async function give(count: number, reason: RouteReason, accountId?: AccountId): Promise<void> {
  for (let index = 0; index < count; index++) {
    const flow = { accountId: accountId ?? AccountId(`other-${index}`), functionName: FunctionName(`f${index}`) };
    await writeRoute(coordinator, newRoute(flow, reason, clock.now()));
  }
}

const shared = { name: "", state: RouteState.UNSPECIFIED, reason: "" };
const { routesMax, routesPerAccountMax, hotRoutesShare } = defaultRouteLimits;

test("a function that asks for a queue of its own says how far it is, and one that does not says nothing", async () => {
  expect(await queue()).toEqual({ ...shared, withheld: "" });
  await set({ dedicatedQueue: true });
  expect(await queue()).toEqual({ ...shared, withheld: "NOT_ASKED_YET" });
  const flow = { accountId: account.accountId, functionName: echo };
  await writeRoute(coordinator, newRoute(flow, "asked", clock.now()));
  const own = { name: dedicatedQueueOf(flow), reason: "asked" };
  expect(await queue()).toEqual({ ...own, state: RouteState.OPENING, withheld: "NOT_OPEN_YET" });
  for (const route of await readRoutes(coordinator)) await writeRoute(coordinator, { ...route, state: "open" });
  expect(await queue()).toEqual({ ...own, state: RouteState.OPEN, withheld: "" });
  await store.accounts.update(account.accountId, { concurrencyMax: 5 });
  expect(await queue()).toEqual({ ...own, state: RouteState.OPEN, withheld: "ACCOUNT_LIMITED" });
});

test.each([
  ["of its account", "TOO_MANY_OF_ACCOUNT", () => give(routesPerAccountMax, "hot", account.accountId)],
  ["that ask", "TOO_MANY_ASK", () => give(routesMax * (1 - hotRoutesShare), "asked")],
  ["of all", "TOO_MANY_ROUTES", () => give(routesMax, "command")],
])("a wish is refused while as many %s have a queue as may: %s", async (_whose, reason, fill) => {
  await set({ latencySensitive: true });
  expect(await queue()).toMatchObject({ withheld: "NOT_ASKED_YET" });
  await fill();
  expect(await queue()).toEqual({ ...shared, withheld: reason });
});

test("nothing is said of a queue while the routes were not heard of, in answers to changes, and in lists", async () => {
  const all = { namePrefix: "", pageSize: 0, pageToken: "" };
  expect((await api.functions.listFunctions(all, account.call())).functions[0]?.queue).toBeUndefined();
  const list = vi.spyOn(coordinator, "list").mockRejectedValue(new AppError("unavailable", "AWAY", "etcd is away"));
  await clock.advance(routesBelievedMs);
  expect(await queue()).toBeUndefined();
  list.mockRestore();
  expect(await queue()).toBeDefined();
});
