// What only some hosts can do. Where this one cannot, that is what the tests assert, and what their names say.
import { statfsSync } from "node:fs";
import { join } from "node:path";
import type { SluiceClient } from "@sluice/client";
import { eventually } from "@sluice/core/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { functionZip } from "../../test/integration/function-zip.ts";
import type { Arena, ArenaOptions, Capability } from "../contract.ts";
import { openArena, probeCapabilities } from "./index.ts";

const small = { apiServers: 1, schedulers: 1, agents: 1, fsync: false, leaseProfile: "fast" } as const;
const needs: readonly (readonly [Capability, ArenaOptions])[] = [
  ["netns", { isolated: ["agent-0"] }],
  ["tmpfs", { smallDisks: { "nats-0": 32 } }],
];

const capabilities = await probeCapabilities();
const named = (what: string, need: Capability) =>
  capabilities.has(need) ? what : `not done, and refused, since this host cannot (${need}): ${what}`;

let arena: Arena;
let client: SluiceClient;
beforeAll(async () => {
  const possible = needs.flatMap(([capability, options]) => (capabilities.has(capability) ? [options] : []));
  arena = await openArena({ ...small, etcd: 3, ...Object.assign({}, ...possible) });
  client = arena.connect();
  const settings = { runtime: "nodejs20", handler: "index.handler" };
  const codeZip = await functionZip({ "index.js": "exports.handler = async (event) => event;" });
  await client.functions.deploy({ name: "echo", settings, codeZip });
});
afterAll(async () => {
  await client.close();
  await arena[Symbol.asyncDispose]();
});

const submit = (taskId: string) => client.submit({ function: "echo", taskId, payload: "x" });
const statusOf = async (taskId: string) => (await client.get("echo", taskId)).status;
const lasts = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

test("what this host cannot do is refused before anything is started", async () => {
  for (const [capability, options] of needs) {
    if (capabilities.has(capability)) continue;
    await expect(openArena({ ...small, ...options })).rejects.toMatchObject({ reason: "FAULT_IMPOSSIBLE" });
  }
  expect(arena.capabilities).toEqual(capabilities);
});

test.each(["there", "back", "both"] as const)(
  named("an agent whose packets are lost (%s) runs nothing until that ends", "netns"),
  async (direction) => {
    if (!capabilities.has("netns")) {
      expect(() => arena.packets("agent-0")).toThrow("no network namespace");
      return;
    }
    const taskId = `lost-${direction}`;
    arena.packets("agent-0").cut(direction);
    await submit(taskId);
    await lasts(1_000);
    expect(await statusOf(taskId)).not.toBe("Succeeded");
    expect(arena.packets("agent-0").dropped()).toBeGreaterThan(0);
    arena.packets("agent-0").heal();
    expect(arena.packets("agent-0").dropped()).toBe(0);
    await eventually(async () => (await statusOf(taskId)) === "Succeeded", { timeoutMs: 60_000 });
  },
);

test(named("a small disk is full until it is freed, and the rest of the machine is not", "tmpfs"), async () => {
  if (!capabilities.has("tmpfs")) {
    await expect(arena.fillDisk("nats-0")).rejects.toThrow("no small disk");
    return;
  }
  const freeOn = (place: string) => statfsSync(join(arena.cluster.dataDir, place)).bavail;
  expect(freeOn("nats-0")).toBeGreaterThan(0);
  await arena.fillDisk("nats-0");
  expect([freeOn("nats-0"), freeOn("postgres") > 0]).toEqual([0, true]);
  await arena.heal();
  expect(freeOn("nats-0")).toBeGreaterThan(0);
});

test("two of three members of etcd are enough, and one is not", async () => {
  const quorum = () =>
    arena.leader().then(
      () => true,
      () => false,
    );
  await arena.part("etcd-0").crash();
  await eventually(quorum, { timeoutMs: 60_000 });
  arena.part("etcd-1").freeze();
  await eventually(async () => !(await quorum()), { timeoutMs: 60_000 });
  await arena.heal();
  await eventually(quorum, { timeoutMs: 60_000 });
  await submit("after-quorum");
  await eventually(async () => (await statusOf("after-quorum")) === "Succeeded", { timeoutMs: 60_000 });
});
