import { createHash } from "node:crypto";
import { agentKey, type Coordinator } from "@sluice/coordination";
import { createMemoryCoordinator } from "@sluice/coordination/memory";
import { AppError } from "@sluice/core";
import { FakeClock } from "@sluice/core/testing";
import { AgentGatewayServiceService, type RegisterRequest } from "@sluice/protocol";
import { agentsTopic } from "@sluice/queue";
import type { Store } from "@sluice/store";
import { openPglite } from "@sluice/store/pglite";
import { afterAll, beforeAll, expect, test } from "vitest";
import { intercept } from "../testing/intercept.ts";
import { aFunction, all, anAccount, joinToken, startTestApi, type TestApi } from "../testing/test-api.ts";

const clock = new FakeClock();
const context = { signal: new AbortController().signal };
let store: Store;
let api: TestApi;

beforeAll(async () => {
  store = await openPglite({ dataDir: "memory", inWorker: false, clock });
  api = startTestApi({ store, clock });
});
afterAll(async () => {
  await api.stop();
  await store[Symbol.asyncDispose]();
});

let agents = 0;
function anAgent(overrides: Partial<RegisterRequest> = {}) {
  agents += 1;
  return {
    agentId: `agent-${agents}`,
    joinToken,
    address: "127.0.0.1:7000",
    slots: 10,
    version: "0.1.0",
    registrationId: `registration-${agents}`,
    ...overrides,
  };
}

/** The answer to a heartbeat; the clock moves by one window. */
async function beat(to: TestApi, agentId: string, incarnation: number) {
  const answering = to.gateway.heartbeat({ agentId, incarnation, joinToken }, context);
  void answering.catch(() => {});
  await clock.advance(500);
  return answering;
}

const valid = { valid: true, dead: false };
const invalid = { valid: false, dead: false };
const dead = { valid: false, dead: true };

test("a registration has its row, its key and the floors, and schedulers get a hint", async () => {
  await store.lanes.raiseFloor({ queue: "q3", prefix: "1", epoch: 41 });
  const hints: string[] = [];
  const quiet = api.signals.listen(agentsTopic, (agentId) => hints.push(agentId));
  const agent = anAgent();
  const { incarnation, floors } = await api.gateway.register(agent, context);
  expect(floors.find(({ queue }) => queue === "q3")?.floors).toEqual([...Array(16).fill(0), ...Array(16).fill(41)]);
  expect((await store.agents.list()).find(({ agentId }) => agentId === agent.agentId)).toMatchObject({
    incarnation,
    address: "127.0.0.1:7000",
    slots: 10,
  });
  const entry = await api.coordinator.get(agentKey(agent.agentId));
  expect([entry?.value, entry?.leaseId]).toEqual([String(incarnation), expect.any(String)]);
  await clock.settle();
  quiet();
  expect(hints).toEqual([agent.agentId]);
});

test("the row is committed before the key is written, and the floors are read last", async () => {
  const steps: string[] = [];
  const coordinator = createMemoryCoordinator({ clock });
  const watchedStore = intercept(store, {
    agents: intercept(store.agents, {
      register: (agent) => {
        steps.push("row");
        return store.agents.register(agent);
      },
    }),
    lanes: intercept(store.lanes, {
      allFloors: () => {
        steps.push("floors");
        return store.lanes.allFloors();
      },
    }),
  });
  const watchedCoordinator = intercept(coordinator, {
    commit: (conditions, operations) => {
      steps.push("key");
      return coordinator.commit(conditions, operations);
    },
  });
  await using other = startTestApi({ store: watchedStore, clock, coordinator: watchedCoordinator });
  await other.gateway.register(anAgent(), context);
  expect(steps).toEqual(["row", "key", "floors"]);
});

test("a repeated registration has the same answer; a new one replaces the incarnation and its key", async () => {
  const agent = anAgent();
  const first = await api.gateway.register(agent, context);
  expect((await api.gateway.register(agent, context)).incarnation).toBe(first.incarnation);
  const next = await api.gateway.register({ ...agent, registrationId: "another" }, context);
  expect(next.incarnation).toBeGreaterThan(first.incarnation);
  expect((await api.coordinator.get(agentKey(agent.agentId)))?.value).toBe(String(next.incarnation));
  expect(await beat(api, agent.agentId, first.incarnation)).toEqual(dead);
  expect(await beat(api, agent.agentId, next.incarnation)).toEqual(valid);
  await expect(api.gateway.register(agent, context)).rejects.toMatchObject({ code: "stale", reason: "AGENT_DEAD" });
  expect((await api.coordinator.get(agentKey(agent.agentId)))?.value).toBe(String(next.incarnation));
});

test("a registration that is repeated after its incarnation was given up does not start", async () => {
  const agent = anAgent();
  const { incarnation } = await api.gateway.register(agent, context);
  await store.agents.deregister({ agentId: agent.agentId, incarnation });
  await expect(api.gateway.register(agent, context)).rejects.toMatchObject({ reason: "AGENT_DEAD" });
});

test("heartbeats of many agents in one window are one update of rows", async () => {
  let renewals = 0;
  const counting = intercept(store.agents, {
    renew: (list) => {
      renewals += 1;
      return store.agents.renew(list);
    },
  });
  await using other = startTestApi({ store: intercept(store, { agents: counting }), clock });
  const registered = await Promise.all(
    Array.from({ length: 20 }, async () => {
      const agent = anAgent();
      return { agentId: agent.agentId, ...(await other.gateway.register(agent, context)) };
    }),
  );
  renewals = 0;
  const beats = [...registered, ...registered.slice(0, 1)].map(({ agentId, incarnation }) =>
    other.gateway.heartbeat({ agentId, incarnation, joinToken }, context),
  );
  await clock.advance(500);
  expect(await Promise.all(beats)).toEqual(Array(21).fill(valid));
  expect(renewals).toBe(1);
});

test("heartbeats keep the row and the key alive; without them the key goes", async () => {
  const agent = anAgent();
  const { incarnation } = await api.gateway.register(agent, context);
  const before = await rowOf(agent.agentId);
  for (let beats = 0; beats < 20; beats++) {
    await clock.advance(1_500);
    expect(await beat(api, agent.agentId, incarnation)).toEqual(valid);
  }
  expect((await rowOf(agent.agentId))?.renewedAt).toBeGreaterThan((before?.renewedAt ?? 0) + 35_000);
  expect(await api.coordinator.get(agentKey(agent.agentId))).toBeDefined();
  await clock.advance(30_000);
  expect(await api.coordinator.get(agentKey(agent.agentId))).toBeUndefined();
});

test("a lost key is not written again; the row alone keeps the agent alive", async () => {
  const agent = anAgent();
  const { incarnation } = await api.gateway.register(agent, context);
  await deleteKey(api.coordinator, agent.agentId);
  expect(await beat(api, agent.agentId, incarnation)).toEqual(valid);
  expect(await api.coordinator.get(agentKey(agent.agentId))).toBeUndefined();
});

test("an outage of either place alone does not cost a heartbeat; of both it does", async () => {
  const outage = { store: false, etcd: false };
  const down = new AppError("unavailable", "STORE_UNAVAILABLE", "an outage");
  const keys = createMemoryCoordinator({ clock });
  const agentRows = intercept(store.agents, {
    renew: async (list) => {
      if (outage.store) throw down;
      return store.agents.renew(list);
    },
  });
  const coordinator = intercept(keys, {
    list: async (prefix) => {
      if (outage.etcd) throw down;
      return keys.list(prefix);
    },
  });
  await using other = startTestApi({ store: intercept(store, { agents: agentRows }), clock, coordinator });
  const agent = anAgent();
  const { incarnation } = await other.gateway.register(agent, context);
  outage.store = true;
  expect(await beat(other, agent.agentId, incarnation)).toEqual(valid);
  outage.etcd = true;
  expect(await beat(other, agent.agentId, incarnation)).toEqual(invalid);
  outage.store = false;
  expect(await beat(other, agent.agentId, incarnation)).toEqual(valid);
});

test("a store that hangs delays a heartbeat by three seconds at most, and is asked only once meanwhile", async () => {
  let asked = 0;
  const hanging = intercept(store.agents, {
    renew: (list) => {
      asked += 1;
      return asked === 1 ? store.agents.renew(list) : new Promise(() => {});
    },
  });
  await using other = startTestApi({ store: intercept(store, { agents: hanging }), clock });
  const agent = anAgent();
  const { incarnation } = await other.gateway.register(agent, context);
  for (let beats = 0; beats < 3; beats++) {
    const answering = other.gateway.heartbeat({ agentId: agent.agentId, incarnation, joinToken }, context);
    await clock.advance(3_500);
    expect(await answering).toEqual(valid);
  }
  expect(asked).toBe(2);
});

test("an agent that is fenced while it registers has no key that keeps it alive", async () => {
  const agent = anAgent();
  const fencing = intercept(store.agents, {
    renew: async (list) => {
      for (const each of list) await store.agents.fence(each);
      return await store.agents.renew(list);
    },
  });
  await using other = startTestApi({ store: intercept(store, { agents: fencing }), clock });
  await expect(other.gateway.register(agent, context)).rejects.toMatchObject({ reason: "AGENT_DEAD" });
  expect(await other.coordinator.get(agentKey(agent.agentId))).toBeUndefined();
});

test("a fenced agent is not renewed in either place, although its lease lives on", async () => {
  const agent = anAgent();
  const { incarnation } = await api.gateway.register(agent, context);
  await store.agents.fence({ agentId: agent.agentId, incarnation });
  await deleteKey(api.coordinator, agent.agentId);
  expect(await beat(api, agent.agentId, incarnation)).toEqual(invalid);
  await clock.advance(25_000);
  await store.agents.markDead({ agentId: agent.agentId, incarnation }, 25_000);
  expect(await beat(api, agent.agentId, incarnation)).toEqual(dead);
});

test("an agent that deregisters is dead at once, and its key is gone", async () => {
  const agent = anAgent();
  const { incarnation } = await api.gateway.register(agent, context);
  await api.gateway.deregister({ agentId: agent.agentId, incarnation, joinToken }, context);
  expect(await rowOf(agent.agentId)).toBeUndefined();
  expect(await api.coordinator.get(agentKey(agent.agentId))).toBeUndefined();
  expect(await beat(api, agent.agentId, incarnation)).toEqual(dead);
});

test("a late deregistration leaves the next incarnation alone", async () => {
  const agent = anAgent();
  const first = await api.gateway.register(agent, context);
  const next = await api.gateway.register({ ...agent, registrationId: "next" }, context);
  await api.gateway.deregister({ agentId: agent.agentId, incarnation: first.incarnation, joinToken }, context);
  expect(await beat(api, agent.agentId, next.incarnation)).toEqual(valid);
  expect((await api.coordinator.get(agentKey(agent.agentId)))?.value).toBe(String(next.incarnation));
});

test("code comes in chunks of at most 1 MiB and is read from the store once", async () => {
  let reads = 0;
  const functions = intercept(store.functions, {
    code: (sha256) => {
      reads += 1;
      return store.functions.code(sha256);
    },
  });
  await using other = startTestApi({ store: intercept(store, { functions }), clock });
  const codeZip = Buffer.alloc(2.5 * 1024 * 1024, "sluice");
  const account = await anAccount(store);
  await other.functions.createFunction({ ...aFunction("large"), codeZip }, account.call());
  const unknown = all(other.gateway.getCode({ sha256: "0".repeat(64), joinToken }, context));
  await expect(unknown).rejects.toMatchObject({ code: "not_found", reason: "CODE_NOT_FOUND" });
  reads = 0;
  const sha256 = createHash("sha256").update(codeZip).digest("hex");
  const read = async () => (await all(other.gateway.getCode({ sha256, joinToken }, context))).map(({ data }) => data);
  const both = await Promise.all([read(), read()]);
  for (const chunks of [...both, await read()]) {
    expect(chunks.map(({ length }) => length)).toEqual([2 ** 20, 2 ** 20, 2 ** 19]);
    expect(Buffer.concat(chunks).equals(codeZip)).toBe(true);
  }
  expect(reads).toBeLessThanOrEqual(2);
  const malformed = all(other.gateway.getCode({ sha256: "../etc", joinToken }, context));
  await expect(malformed).rejects.toMatchObject({ reason: "INVALID_SHA256" });
});

test.each([
  ["agent_id", { agentId: "a/b" }, "INVALID_AGENT_ID"],
  ["address", { address: "nowhere" }, "INVALID_ADDRESS"],
  ["address", { address: "host:port" }, "INVALID_ADDRESS"],
  ["slots", { slots: 0 }, "INVALID_SLOTS"],
  ["slots", { slots: 100_001 }, "INVALID_SLOTS"],
  ["version", { version: "\0" }, "INVALID_TEXT"],
  ["registration_id", { registrationId: "" }, "INVALID_REGISTRATION_ID"],
])("a registration with a wrong %s is refused", async (field, wrong, reason) => {
  await expect(api.gateway.register(anAgent(wrong), context)).rejects.toMatchObject({ code: "invalid", reason, field });
});

test.each([
  ["seq", { seq: 0 }],
  ["attempt", { attempt: 0 }],
  ["index", { index: -1 }],
  ["stream", { stream: 3 }],
  ["time_ms", { timeMs: -1 }],
  ["data", { data: Buffer.alloc(256 * 1024 + 1) }],
])("a piece of a log with a wrong %s is refused", async (field, wrong) => {
  const piece = { seq: 1, attempt: 1, index: 0, stream: 1, timeMs: 0, data: Buffer.from("x") };
  const putting = api.gateway.putLogs({ joinToken, pieces: [piece, { ...piece, ...wrong }] }, context);
  await expect(putting).rejects.toMatchObject({ reason: "INVALID_LOG_PIECE", field: `pieces[1].${field}` });
  const many = api.gateway.putLogs({ joinToken, pieces: Array(4_097).fill(piece) }, context);
  await expect(many).rejects.toMatchObject({ reason: "TOO_MANY_PIECES" });
});

test("of attempts those are found whose tasks are over, a thousand at a time", async () => {
  const aRef = (seq: number) => ({ seq, attempt: 1, queue: "q", lane: 0 });
  const { settled } = await api.gateway.findSettled({ joinToken, attempts: [aRef(1e9), aRef(1e9 + 1)] }, context);
  expect(settled).toEqual([aRef(1e9), aRef(1e9 + 1)]);
  const many = api.gateway.findSettled({ joinToken, attempts: Array(1_001).fill(aRef(1)) }, context);
  await expect(many).rejects.toMatchObject({ reason: "TOO_MANY_ATTEMPTS" });
});

test("no method answers to a wrong join token", async () => {
  const agent = { ...anAgent(), incarnation: 1, sha256: "0".repeat(64), pieces: [] };
  const calls: Record<keyof typeof AgentGatewayServiceService, (joinToken: string) => Promise<unknown>> = {
    register: (token) => api.gateway.register({ ...agent, joinToken: token }, context),
    heartbeat: (token) => api.gateway.heartbeat({ ...agent, joinToken: token }, context),
    deregister: (token) => api.gateway.deregister({ ...agent, joinToken: token }, context),
    getCode: (token) => all(api.gateway.getCode({ ...agent, joinToken: token }, context)),
    putLogs: (token) => api.gateway.putLogs({ ...agent, joinToken: token }, context),
    findSettled: (token) => api.gateway.findSettled({ joinToken: token, attempts: [] }, context),
  };
  expect(Object.keys(calls).sort()).toEqual(Object.keys(AgentGatewayServiceService).sort());
  for (const call of Object.values(calls)) {
    for (const token of ["", `${joinToken} `, "wrong"]) {
      await expect(call(token)).rejects.toMatchObject({ code: "unauthenticated", reason: "INVALID_JOIN_TOKEN" });
    }
  }
  expect(await rowOf(agent.agentId)).toBeUndefined();
});

async function rowOf(wanted: string) {
  return (await store.agents.list()).find(({ agentId }) => agentId === wanted);
}

async function deleteKey(coordinator: Coordinator, agentId: string): Promise<void> {
  await coordinator.commit([], [{ op: "delete", key: agentKey(agentId) }]);
}
