import { readFileSync } from "node:fs";
import type { SluiceClient } from "@sluice/client";
import { eventually } from "@sluice/core/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { functionZip } from "../../test/integration/function-zip.ts";
import type { Arena } from "../contract.ts";
import { openArena } from "./index.ts";

let arena: Arena;
let client: SluiceClient;
beforeAll(async () => {
  arena = await openArena({
    apiServers: 2,
    schedulers: 2,
    agents: 1,
    fsync: false,
    leaseProfile: "fast",
    environment: { scheduler: { SLUICE_SCHEDULER_LOG_LEVEL: "debug" } },
  });
  client = arena.connect();
  const settings = { runtime: "nodejs20", handler: "index.handler" };
  const codeZip = await functionZip({ "index.js": "exports.handler = async (event) => event;" });
  await client.functions.deploy({ name: "echo", settings, codeZip });
});
afterAll(async () => {
  await client.close();
  await arena[Symbol.asyncDispose]();
});

/** For what takes seconds on a machine that has nothing else to do. */
const patiently = { timeoutMs: 90_000 };

let taskCount = 0;
async function runsTask(): Promise<void> {
  taskCount += 1;
  const taskId = `task-${taskCount}`;
  await client.submit({ function: "echo", taskId, payload: "x" });
  expect((await client.wait("echo", taskId)).status).toBe("Succeeded");
}

/** How many partitions a scheduler owns. */
const owned = async (name: string) => (await arena.partitions()).get(name)?.length ?? 0;
const others = { "scheduler-0": "scheduler-1", "scheduler-1": "scheduler-0" } as const;
/** A scheduler that owns some. */
async function anOwner(): Promise<keyof typeof others> {
  return eventually(async () => {
    if ((await owned("scheduler-0")) > 0) return "scheduler-0";
    return (await owned("scheduler-1")) > 0 && "scheduler-1";
  });
}

test("tasks run through the proxies", async () => {
  await runsTask();
  expect(["scheduler-0", "scheduler-1"]).toContain(await arena.leader());
});

test("cut off from etcd, a scheduler loses its partitions to the other one, and gets some again after the heal", async () => {
  const owner = await anOwner();
  const all = (await owned("scheduler-0")) + (await owned("scheduler-1"));
  arena.link(owner, "etcd").cut();
  // At least: partitions may have been on their way from one to the other when they were counted.
  await eventually(async () => (await owned(owner)) === 0 && (await owned(others[owner])) >= all, patiently);
  await runsTask();
  await arena.heal();
  await eventually(async () => (await owned(owner)) > 0, patiently);
});

test("a way to an agent is broken for one scheduler alone, where the host can tell them apart", async () => {
  if (!arena.capabilities.has("pairs")) {
    expect(() => arena.link("scheduler-0", "agent-0")).toThrow("does not tell");
    return;
  }
  const broken = (scheduler: string) => {
    const log = readFileSync(arena.cluster.service(scheduler).logFile, "utf8");
    return log.split("agent stream broke").length - 1;
  };
  const before = [broken("scheduler-0"), broken("scheduler-1")];
  arena.link("scheduler-0", "agent-0").reset();
  await eventually(() => broken("scheduler-0") > (before[0] ?? 0));
  expect(broken("scheduler-1")).toBe(before[1]);
});

test("a frozen and a killed part are healed together", async () => {
  const killed = arena.part("scheduler-0");
  const { pid } = killed;
  arena.part("etcd").freeze();
  await killed.crash();
  expect(killed.pid).toBeUndefined();
  await arena.heal();
  expect(killed.pid).not.toBe(pid);
  await runsTask();
});

test("while its event loop is blocked a service answers nobody, and then it goes on", async () => {
  const { httpAddress } = arena.cluster.service("api-server-0");
  const answerMs = async () => {
    const from = performance.now();
    expect((await fetch(`http://${httpAddress}/healthz`)).status).toBe(200);
    return performance.now() - from;
  };
  await answerMs();
  arena.part("api-server-0").block(3_000);
  // The signal may come after a first question.
  await eventually(async () => (await answerMs()) > 1_500);
  expect(() => arena.part("etcd").block(1)).toThrow("no event loop");
});

test("a client goes on when the api-server that it began with is cut off", async () => {
  const [first, second] = [arena.connect(), arena.connect()];
  arena.link("client", "api-server-0").cut();
  for (const each of [first, second]) await each.listPage({});
  arena.link("client", "api-server-0").heal();
  for (const each of [first, second]) await each.close();
}, 60_000);

test("a way that nobody goes, and a part that nobody is, are refused", () => {
  expect(() => arena.link("agent-0", "etcd")).toThrow("nobody goes from agent-0 to etcd");
  expect(() => arena.link("scheduler-9", "etcd")).toThrow("nobody goes");
  expect(() => arena.part("nats-7")).toThrow("no service nats-7");
  expect(() => arena.packets("agent-0")).toThrow("no network namespace");
});
