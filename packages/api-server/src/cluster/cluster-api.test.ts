import { claim, claimsUnder, leaderKey, memberKey, readWishes, writeLoads, writeWish } from "@sluice/coordination";
import { createMemoryCoordinator } from "@sluice/coordination/memory";
import { createFaultyCoordinator, type Fault } from "@sluice/coordination/testing";
import { FakeClock } from "@sluice/core/testing";
import { AgentState } from "@sluice/protocol";
import type { Store } from "@sluice/store";
import { openPglite } from "@sluice/store/pglite";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { aFunction, anAccount, startTestApi, type TestAccount, type TestApi } from "../testing/test-api.ts";

const hourMs = 3_600_000;
const clock = new FakeClock();
const coordinator = createMemoryCoordinator({ clock });
let faultOf: (call: string) => Fault | undefined = () => undefined;
let store: Store;
let operator: TestAccount;
let api: TestApi;

beforeAll(async () => {
  store = await openPglite({ dataDir: "memory", inWorker: false, clock });
  operator = await anAccount(store);
  const faulty = createFaultyCoordinator({ coordinator, clock, fault: (call) => faultOf(call) });
  api = startTestApi({ store, clock, coordinator: faulty, config: { operatorAccounts: [operator.accountId] } });
});
beforeEach(async () => {
  faultOf = () => undefined;
  for (const { key } of await coordinator.list("/")) await coordinator.commit([], [{ op: "delete", key }]);
  for (const id of ["s1", "s2"]) await coordinator.commit([], [{ op: "put", key: memberKey(id), value: "{}" }]);
  await writeWish(coordinator, { queue: "q0", partitions: [{ prefix: "", ownerId: "s1" }], modRevision: 0 });
});
afterAll(async () => {
  const stopped = api.stop();
  // A call that hangs ends at its deadline.
  await clock.advance(5_000);
  await stopped;
  await store[Symbol.asyncDispose]();
});

test("the cluster is shown with who owns what, and what waits", async () => {
  const lease = await coordinator.grant(60_000);
  await coordinator.commit(
    [],
    [
      { op: "put", key: memberKey("s2"), value: '{"capacity":3,"draining":true}' },
      { op: "put", key: leaderKey, value: "s1" },
    ],
  );
  await claim(coordinator, { queue: "q0", prefix: "", ownerId: "s1", lease });
  const [owned] = await claimsUnder(coordinator, lease);
  await store.lanes.raiseFloor({ queue: "q0", prefix: "", epoch: 77 });
  const load = { queue: "q0", prefix: "", waiting: 12, backlogAgeMs: 1_500.4, dispatchedPerSecond: 3.5, parked: 5 };
  await writeLoads(coordinator, { memberId: "s1", partitions: [load], isCut: false }, lease);
  const slots = { slots: 8, version: "1", address: "host:1" };
  await store.agents.register({ ...slots, agentId: "a2", registrationId: "r2" });
  await store.agents.register({ ...slots, agentId: "a1", registrationId: "r1" });
  await store.agents.fence({ agentId: "a1", incarnation: 1 });

  const cluster = await api.cluster.getCluster({}, operator.call());
  expect(cluster).toEqual({
    members: [
      { id: "s1", capacity: 1, draining: false, leader: true },
      { id: "s2", capacity: 3, draining: true, leader: false },
    ],
    queues: [
      {
        name: "q0",
        shapeRestsUntilMs: 0,
        partitions: [
          {
            queue: "q0",
            prefix: "",
            wishedOwner: "s1",
            owner: "s1",
            claimRevision: owned?.createRevision,
            epoch: 77,
            waiting: 12,
            parked: 5,
            backlogAgeMs: 1_500,
            dispatchedPerSecond: 3.5,
            restsUntilMs: 0,
          },
        ],
      },
    ],
    agents: [
      { ...slots, id: "a1", incarnation: 1, state: AgentState.FENCED, renewedAtMs: expect.any(Number) },
      { ...slots, id: "a2", incarnation: 1, state: AgentState.ALIVE, renewedAtMs: expect.any(Number) },
    ],
  });
  await clock.advance(11_000);
  const later = await api.cluster.getCluster({}, operator.call());
  expect(later.agents[1]?.state).toBe(AgentState.SILENT);
});

test("a split, a move and a merge change the wish, and rest for an hour", async () => {
  const until = clock.now() + hourMs;
  const split = await api.cluster.splitPartition({ queue: "q0", prefix: "" }, operator.call());
  expect(split).toMatchObject({ changed: true, queue: { name: "q0", shapeRestsUntilMs: until } });
  expect(await wished()).toEqual([
    ["0", "s1", until],
    ["1", "s2", until],
  ]);
  const move = await api.cluster.movePartition({ queue: "q0", prefix: "1", to: "s1" }, operator.call());
  expect(move.queue?.partitions[1]).toMatchObject({ prefix: "1", wishedOwner: "s1", owner: "", restsUntilMs: until });
  const merge = await api.cluster.mergePartition({ queue: "q0", prefix: "" }, operator.call());
  expect(merge.changed).toBe(true);
  expect(await wished()).toEqual([["", "s1", until]]);
  expect(await api.cluster.mergePartition({ queue: "q0", prefix: "" }, operator.call())).toMatchObject({
    changed: false,
  });
});

test("what is not there, or cannot be, is refused with what to do", async () => {
  const at = (queue: string, prefix: string) => api.cluster.splitPartition({ queue, prefix }, operator.call());
  await expect(at("q7", "")).rejects.toMatchObject({
    code: "not_found",
    reason: "QUEUE_NOT_FOUND",
    message: "there is no queue q7; there are: q0",
  });
  await expect(at("q0", "2")).rejects.toMatchObject({ code: "invalid", reason: "INVALID_PREFIX", field: "prefix" });
  await expect(at("q0", "000000")).rejects.toMatchObject({ reason: "INVALID_PREFIX" });
  await expect(at("q0", "1")).rejects.toMatchObject({ reason: "PARTITION_NOT_FOUND" });
  const merge = api.cluster.mergePartition({ queue: "q0", prefix: "1" }, operator.call());
  await expect(merge).rejects.toMatchObject({ reason: "HALVES_NOT_FOUND" });
  const move = api.cluster.movePartition({ queue: "q0", prefix: "", to: "s9" }, operator.call());
  await expect(move).rejects.toMatchObject({ reason: "MEMBER_NOT_FOUND" });
});

test("only operators may look and command; without authentication everybody on the machine may", async () => {
  const stranger = await anAccount(store);
  const refused = { code: "forbidden", reason: "NOT_AN_OPERATOR" };
  await expect(api.cluster.getCluster({}, stranger.call())).rejects.toMatchObject(refused);
  const split = api.cluster.splitPartition({ queue: "q0", prefix: "" }, stranger.call());
  await expect(split).rejects.toMatchObject(refused);
  await using open = startTestApi({ store, clock, coordinator, config: { auth: "none" } });
  const { members } = await open.cluster.getCluster({}, { signal: new AbortController().signal });
  expect(members.map(({ id }) => id)).toEqual(["s1", "s2"]);
});

test("an operator sees and changes the limits of accounts; what is changed is told to everybody", async () => {
  const tenant = await anAccount(store);
  const account = tenant.accountId;
  const heard: string[] = [];
  const stop = api.signals.listen("account", (id) => heard.push(id));
  const created = { settings: { concurrencyMax: 0, rateMax: 0, rateBurst: 0, weight: 1 }, limitsChangedAtMs: 0 };
  expect(await api.cluster.getAccount({ account }, operator.call())).toMatchObject({ id: account, ...created });
  const settings = { concurrencyMax: 3, rateMax: 0.5 };
  const changed = await api.cluster.updateAccount({ account, settings }, operator.call());
  expect(changed).toMatchObject({ settings: { ...created.settings, ...settings }, limitsChangedAtMs: clock.now() });
  expect(await api.cluster.getAccount({ account }, operator.call())).toEqual(changed);
  expect(heard).toEqual([account]);
  stop();

  const pages: string[] = [];
  for (let pageToken = ""; ; ) {
    const page = await api.cluster.listAccounts({ pageSize: 1, pageToken }, operator.call());
    pages.push(...page.accounts.map(({ id }) => id));
    pageToken = page.nextPageToken;
    if (pageToken === "") break;
  }
  expect(pages).toEqual([...pages].sort());
  expect(pages).toEqual(expect.arrayContaining([account, operator.accountId]));
});

test.each([
  ["an account that is not there", { account: "nobody", settings: { weight: 2 } }, "ACCOUNT_NOT_FOUND"],
  ["an id that is none", { account: "a b", settings: { weight: 2 } }, "INVALID_ACCOUNT_ID"],
  ["nothing to change", { account: "main", settings: {} }, "NOTHING_TO_CHANGE"],
  ["a weight of 0", { account: "main", settings: { weight: 0 } }, "INVALID_SETTING"],
  ["a rate below 0", { account: "main", settings: { rateMax: -1 } }, "INVALID_SETTING"],
])("limits of %s are refused", async (_, request, reason) => {
  await expect(api.cluster.updateAccount(request, operator.call())).rejects.toMatchObject({ reason });
});

test("an account can be limited to less than its functions have reserved: tenants veto no limit", async () => {
  const tenant = await anAccount(store);
  const account = tenant.accountId;
  for (const name of ["a", "b"])
    await api.functions.createFunction(aFunction(name, { concurrencyReserved: 3 }), tenant.call());
  const update = (concurrencyMax: number) =>
    api.cluster.updateAccount({ account, settings: { concurrencyMax } }, operator.call());
  for (const allowed of [5, 0]) expect((await update(allowed)).settings?.concurrencyMax).toBe(allowed);
});

test("what was commanded is in the list of events, with who commanded it, once", async () => {
  const { accountId } = operator;
  for (let times = 0; times < 2; times++) {
    await api.cluster.splitPartition({ queue: "q0", prefix: "" }, operator.call());
    await api.cluster.movePartition({ queue: "q0", prefix: "1", to: "s1" }, operator.call());
  }
  await api.cluster.mergePartition({ queue: "q0", prefix: "" }, operator.call());
  const list = async (queue: string, limit: number) =>
    (await api.cluster.listEvents({ queue, limit }, operator.call())).events;
  const events = await list("q0", 3);
  expect(events.map(({ kind, prefix, from, to }) => [kind, prefix, from, to])).toEqual([
    ["split", "", "s1", "s2"],
    ["move", "1", "s2", "s1"],
    ["merge", "", "s1", "s1"],
  ]);
  for (const event of events) expect(event).toMatchObject({ reason: "command", by: accountId, atMs: clock.now() });
  expect(await list("q0", 1)).toEqual(events.slice(2));
  expect(await list("q7", 0)).toEqual([]);
  await expect(list("", 1_001)).rejects.toMatchObject({ reason: "INVALID_LIMIT", field: "limit" });
});

test("a command whose answer was lost is recognised; one that meets another writer is tried again", async () => {
  faultOf = (call) => (call === "commit" ? "unheard" : undefined);
  expect(await api.cluster.splitPartition({ queue: "q0", prefix: "" }, operator.call())).toMatchObject({
    changed: true,
  });

  // Somebody else splits the other half between its reading and its writing.
  let isMet = false;
  faultOf = (call) => {
    if (call === "commit" && !isMet) {
      isMet = true;
      void splitBehindItsBack();
    }
    return undefined;
  };
  await api.cluster.splitPartition({ queue: "q0", prefix: "0" }, operator.call());
  expect((await wished()).map(([prefix]) => prefix)).toEqual(["00", "01", "10", "11"]);
});

test("while the coordinator is away a command fails soon, and says so", async () => {
  faultOf = () => "hangs";
  const split = api.cluster.splitPartition({ queue: "q0", prefix: "" }, operator.call());
  const failed = expect(split).rejects.toMatchObject({ code: "unavailable", reason: "COORDINATOR_UNAVAILABLE" });
  await clock.advance(2_000);
  await failed;
});

async function wished() {
  const [wish] = await readWishes(coordinator);
  return (wish?.partitions ?? []).map(({ prefix, ownerId, restsUntil }) => [prefix, ownerId, restsUntil]);
}

/** Takes effect at once: the coordinator in memory does everything at the moment of the call. */
function splitBehindItsBack(): Promise<unknown> {
  const value = JSON.stringify({
    partitions: [
      { prefix: "0", ownerId: "s1" },
      { prefix: "10", ownerId: "s2" },
      { prefix: "11", ownerId: "s2" },
    ],
  });
  return coordinator.commit([], [{ op: "put", key: "/wishes/q0", value }]);
}
