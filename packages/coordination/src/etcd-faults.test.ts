// The driver on networks and servers that fail. Nothing here may end the process, either: vitest tells of unhandled errors.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { eventually } from "@sluice/core/testing";
import { systemClock } from "@sluice/runtime";
import { type Backend, startEtcd } from "@sluice/testbed";
import { afterAll, beforeAll, expect, test } from "vitest";
import { claim, stillStands } from "./claims.ts";
import { withDeadlines } from "./deadlines.ts";
import { startTcpProxy, type TcpProxy } from "./etcd/tcp-proxy.fixture.ts";
import { newNamespace, openTestEtcd } from "./etcd/test-etcd.fixture.ts";
import type { Coordinator } from "./index.ts";
import { claimKey, wishKey } from "./keys.ts";
import { readWishes, type Wish, writeWish } from "./wishes.ts";

const q0 = { queue: "q0", prefix: "" };
const unavailable = { reason: "COORDINATOR_UNAVAILABLE" };

let server: Backend;
beforeAll(async () => {
  server = await startEtcd();
});
afterAll(() => server[Symbol.asyncDispose]());

test("a claim whose answer was lost is recognised, here and by the next attempt", async () => {
  await using world = await openWorld();
  await writeWish(world.direct, wholeQueueTo("a"));
  const lease = await world.direct.grant(60_000);
  const deaf = hearsNoCommit(world, async () => (await world.direct.get(claimKey(q0))) !== undefined);

  const mine = await claim(deaf, { ...q0, ownerId: "a", lease });

  expect(mine).toBeDefined();
  if (mine) expect(await stillStands(world.direct, mine)).toBe(true);
  expect(await claim(world.coordinator, { ...q0, ownerId: "a", lease })).toEqual(mine);
  expect(await world.measured("calls_total", { call: "commit", outcome: "unknown" })).toBe(1);
});

test("a wish whose writing was answered to nobody is recognised", async () => {
  await using world = await openWorld();
  const deaf = hearsNoCommit(world, async () => (await world.direct.get(wishKey("q0"))) !== undefined);
  expect(await writeWish(deaf, wholeQueueTo("a"))).toBe(true);
  expect(await readWishes(world.direct)).toMatchObject([{ queue: "q0", partitions: [{ prefix: "", ownerId: "a" }] }]);
  // Not with what somebody else wrote meanwhile.
  const changed = async () => (await readWishes(world.direct))[0]?.partitions[0]?.ownerId === "c";
  const overtaken = hearsNoCommit(world, async () => {
    const [current] = await readWishes(world.direct);
    if (current?.partitions[0]?.ownerId === "b") await writeWish(world.direct, { ...current, ...ownedBy("c") });
    return changed();
  });
  const [current] = await readWishes(world.direct);
  expect(await writeWish(overtaken, { ...wholeQueueTo("b"), modRevision: current?.modRevision ?? 0 })).toBe(false);
});

test("a connection that went silent is replaced within one call, and its watches with it", async () => {
  await using world = await openWorld();
  const { coordinator, proxy, direct } = world;
  let hints = 0;
  coordinator.watch("/", () => hints++);
  await eventually(async () => {
    await direct.commit([], [{ op: "put", key: "/a", value: "1" }]);
    return hints > 0;
  });
  const connections = proxy.accepted;

  proxy.strand();
  hints = 0;
  expect(await coordinator.get("/a")).toMatchObject({ value: "1" });

  expect(proxy.accepted).toBeGreaterThan(connections);
  await eventually(() => hints > 0);
  expect(await world.measured("watch_restarts_total")).toBeGreaterThan(0);
  hints = 0;
  await direct.commit([], [{ op: "put", key: "/a", value: "2" }]);
  await eventually(() => hints > 0);
});

test("calls of a commit on a silent link end with an unknown outcome, in time", async () => {
  await using world = await openWorld({ callDeadlineMs: 300 });
  await world.coordinator.get("/a");
  world.proxy.pass("nothing");
  const before = systemClock.monotonic();
  const commit = world.coordinator.commit([], [{ op: "put", key: "/a", value: "1" }]);
  await expect(commit).rejects.toMatchObject(unavailable);
  await expect(world.coordinator.get("/a")).rejects.toMatchObject(unavailable);
  expect(systemClock.monotonic() - before).toBeLessThan(5_000);
  world.proxy.pass("all");
  await eventually(() => world.coordinator.get("/none").then(() => true));
});

test("with one host of three dead, calls do not fail; with one hanging, at most one write does", async () => {
  const proxies = await Promise.all([1, 2, 3].map(() => startTcpProxy(server.address)));
  const hosts = proxies.map(({ address }) => address);
  await using etcd = openTestEtcd(hosts, { namespace: newNamespace(), callDeadlineMs: 1_000 });
  const { coordinator } = etcd;
  const failures = async (calls: number, call: () => Promise<unknown>) => {
    let failed = 0;
    for (let turn = 0; turn < calls; turn++) await call().catch(() => failed++);
    return failed;
  };
  const put = () => coordinator.commit([], [{ op: "put", key: "/a", value: "1" }]);
  for (const proxy of proxies) {
    await proxy.refuse();
    expect(await failures(20, () => coordinator.get("/a"))).toBe(0);
    expect(await failures(20, put)).toBe(0);
    await proxy.listen();
  }
  for (const proxy of proxies) {
    proxy.pass("nothing");
    expect(await failures(10, put)).toBeLessThanOrEqual(1);
    expect(await failures(10, () => coordinator.list("/"))).toBe(0);
    proxy.pass("all");
  }
  expect(await etcd.measured("host_changes_total")).toBeLessThan(20);
  await Promise.all(proxies.map((proxy) => proxy[Symbol.asyncDispose]()));
});

test("processes spread over the hosts", async () => {
  const proxies = await Promise.all([1, 2, 3].map(() => startTcpProxy(server.address)));
  const hosts = proxies.map(({ address }) => address);
  for (let seed = 0; seed < 12; seed++) {
    await using etcd = openTestEtcd(hosts, { seed });
    await etcd.coordinator.get("/a");
  }
  for (const proxy of proxies) expect(proxy.accepted).toBeGreaterThan(0);
  await Promise.all(proxies.map((proxy) => proxy[Symbol.asyncDispose]()));
});

test("an etcd that is killed and comes back is noticed both times, by health, calls and watches", async () => {
  await using own = await startEtcd();
  await using etcd = openTestEtcd([own.address]);
  const { coordinator, health } = etcd;
  const seen: boolean[] = [];
  health.watch((isUp) => seen.push(isUp));
  let hints = 0;
  coordinator.watch("/", () => hints++);
  // Nobody asks: the driver does.
  await eventually(() => health.isUp);
  expect(await etcd.measured("up_state")).toBe(1);

  await own.stop("SIGKILL");
  await expect(coordinator.get("/a")).rejects.toMatchObject(unavailable);
  expect([health.isUp, await etcd.measured("up_state")]).toEqual([false, 0]);
  await own.start();

  await eventually(() => health.isUp && hints > 0);
  expect(seen).toEqual([true, false, true]);
});

test("an etcd that is away at the start is found when it comes", async () => {
  await using own = await startEtcd();
  await own.stop("SIGKILL");
  await using etcd = openTestEtcd([own.address], { callDeadlineMs: 500 });
  await expect(etcd.coordinator.grant(1_000)).rejects.toMatchObject(unavailable);
  expect(etcd.health.isUp).toBe(false);
  await own.start();
  await eventually(() => etcd.health.isUp);
  expect(await etcd.coordinator.get("/a")).toBeUndefined();
});

test("a closed coordinator refuses every call, and closing twice is harmless", async () => {
  const etcd = openTestEtcd([server.address]);
  const lease = await etcd.coordinator.grant(60_000);
  const onTheWay = etcd.coordinator.get("/a");
  await etcd[Symbol.asyncDispose]();
  await etcd[Symbol.asyncDispose]();
  expect(await onTheWay).toBeUndefined();
  await expect(etcd.coordinator.renew(lease)).rejects.toMatchObject(unavailable);
  etcd.coordinator.watch("/", () => undefined)();
});

test("a process that closes it ends by itself, whether etcd answers, refuses or hangs", async () => {
  await using refusing = await startTcpProxy(server.address);
  await refusing.refuse();
  await using hanging = await startTcpProxy(server.address);
  hanging.pass("nothing");
  const ends = [
    closingProcess(server.address, { callDeadlineMs: 20_000 }),
    closingProcess(refusing.address, { callDeadlineMs: 20_000 }),
    closingProcess(hanging.address, { callDeadlineMs: 500 }),
  ];
  expect(await Promise.all(ends)).toEqual([
    { code: 0, stdout: "used\n", stderr: "" },
    { code: 0, stdout: "not reached\n", stderr: "" },
    { code: 0, stdout: "not reached\n", stderr: "" },
  ]);
});

interface World extends AsyncDisposable {
  readonly proxy: TcpProxy;
  /** Through the proxy. */
  readonly coordinator: Coordinator;
  readonly measured: ReturnType<typeof openTestEtcd>["measured"];
  /** The same keys, without it. */
  readonly direct: Coordinator;
}

async function openWorld({ callDeadlineMs = 1_000 } = {}): Promise<World> {
  const namespace = newNamespace();
  const proxy = await startTcpProxy(server.address);
  const etcd = openTestEtcd([proxy.address], { namespace, callDeadlineMs });
  const direct = openTestEtcd([server.address], { namespace });
  return {
    proxy,
    coordinator: etcd.coordinator,
    measured: etcd.measured,
    direct: direct.coordinator,
    async [Symbol.asyncDispose]() {
      await Promise.all([etcd, direct].map((opened) => opened[Symbol.asyncDispose]()));
      await proxy[Symbol.asyncDispose]();
    },
  };
}

/** Its commits arrive, and their answers are lost; everything else is answered. They are over when `hasArrived`. */
function hearsNoCommit({ coordinator, proxy }: World, hasArrived: () => Promise<boolean>): Coordinator {
  const plain = withDeadlines(coordinator, { clock: systemClock, deadlineMs: 60_000 });
  return {
    ...plain,
    async commit(conditions, operations) {
      await plain.get("/connected");
      proxy.pass("requests");
      try {
        return await plain.commit(conditions, operations);
      } finally {
        await eventually(hasArrived);
        proxy.pass("all");
      }
    },
  };
}

function ownedBy(ownerId: string): Pick<Wish, "partitions"> {
  return { partitions: [{ prefix: "", ownerId }] };
}

function wholeQueueTo(ownerId: string): Wish {
  return { queue: "q0", modRevision: 0, ...ownedBy(ownerId) };
}

async function closingProcess(
  address: string,
  { callDeadlineMs }: { readonly callDeadlineMs: number },
): Promise<{ code: number; stdout: string; stderr: string }> {
  const program = fileURLToPath(new URL("./etcd/closes.fixture.ts", import.meta.url));
  const args = ["--import", "tsx", program, address, String(callDeadlineMs)];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  const output = { stdout: "", stderr: "" };
  child.stdout.on("data", (bytes) => {
    output.stdout += String(bytes);
  });
  child.stderr.on("data", (bytes) => {
    output.stderr += String(bytes);
  });
  const [code] = (await once(child, "close")) as [number];
  return { code, ...output };
}
