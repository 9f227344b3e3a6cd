import { existsSync, readFileSync } from "node:fs";
import { request } from "node:http";
import { createServer } from "node:net";
import { dirname } from "node:path";
import { expect, test } from "vitest";
import { type Backend, reservePorts, startEtcd, startEtcdCluster, startNats, startPostgres, until } from "./index.ts";
import { treeOf } from "./process/tree.mjs";

/** What etcd has under `key`, after setting it if there is a value. */
async function etcdKey({ host, port }: Backend, key: string, value?: string): Promise<string | undefined> {
  const encode = (text: string) => Buffer.from(text).toString("base64");
  const body = JSON.stringify({ key: encode(key), ...(value !== undefined && { value: encode(value) }) });
  const path = value === undefined ? "/v3/kv/range" : "/v3/kv/put";
  const text = await new Promise<string>((resolve, reject) => {
    const call = request({ host, port, path, method: "POST", agent: false }, async (response) => {
      let answer = "";
      for await (const chunk of response) answer += String(chunk);
      resolve(answer);
    });
    call.on("error", reject);
    call.end(body);
  });
  const found = (JSON.parse(text) as { kvs?: readonly { value: string }[] }).kvs?.[0];
  return found && Buffer.from(found.value, "base64").toString();
}

test("etcd keeps its data and its port over stops and kills, until it is wiped", async () => {
  await using etcd = await startEtcd();
  const { address, pid } = etcd;
  await etcdKey(etcd, "color", "blue");

  await etcd.stop();
  expect([etcd.pid, etcd.isWanted]).toEqual([undefined, false]);
  await etcd.start();
  expect(etcd.pid).not.toBe(pid);
  etcd.kill("SIGKILL");
  await etcd.start();
  expect([etcd.address, await etcdKey(etcd, "color")]).toEqual([address, "blue"]);
  await expect(etcd.wipe()).rejects.toMatchObject({ reason: "BACKEND_RUNNING" });

  await etcd.stop("SIGKILL");
  await etcd.wipe();
  await etcd.start();
  expect(await etcdKey(etcd, "color")).toBeUndefined();
});

test("PostgreSQL keeps its data over a crash, and is usable and empty after it was wiped", async () => {
  await using postgres = await startPostgres({ fsync: false });
  expect(await postgres.createDatabase("tasks")).toBe(`postgres://sluice@${postgres.address}/tasks`);

  await postgres.stop("SIGKILL");
  await postgres.start();
  await expect(postgres.createDatabase("tasks")).rejects.toThrow('database "tasks" already exists');

  await postgres.stop();
  await postgres.wipe();
  await postgres.start();
  await postgres.createDatabase("tasks");
});

test("SIGSTOP and SIGCONT reach every process of PostgreSQL", async () => {
  await using postgres = await startPostgres({ fsync: false });
  const family = treeOf(postgres.pid as number);
  expect(family.length).toBeGreaterThan(3);
  // Workers come and go: one that has ended, and may wait for its frozen parent, neither runs nor is frozen.
  const states = () =>
    family.flatMap(({ pid }) => {
      const stat = existsSync(`/proc/${pid}/stat`) ? readFileSync(`/proc/${pid}/stat`, "latin1") : "";
      const state = /\) (\w) /.exec(stat)?.[1] ?? "Z";
      return state === "Z" ? [] : [state];
    });

  postgres.kill("SIGSTOP");
  await until(() => states().every((state) => state === "T"), { what: "some still run", timeoutMs: 60_000 });
  postgres.kill("SIGCONT");
  await until(() => !states().includes("T"), { what: "some are frozen", timeoutMs: 60_000 });
  await postgres.createDatabase("later");
});

test("three nats-servers are a cluster whose members come back alone", async () => {
  const servers = await startNats({ servers: 3 });
  try {
    expect(servers.map(({ name }) => name)).toEqual(["nats-0", "nats-1", "nats-2"]);
    expect(new Set(servers.map(({ port }) => port)).size).toBe(3);
    const [first] = servers;
    await first?.stop("SIGKILL");
    await first?.start();
    expect(first?.pid).toBeDefined();
  } finally {
    await Promise.all(servers.map((server) => server[Symbol.asyncDispose]()));
  }
});

test("three members of etcd are one store, which outlives any one of them", async () => {
  const members = await startEtcdCluster({ members: 3 });
  try {
    expect(members.map(({ name }) => name)).toEqual(["etcd-0", "etcd-1", "etcd-2"]);
    const [first, second] = members as [Backend, Backend];
    await etcdKey(first, "color", "blue");
    await first.stop("SIGKILL");
    await until(async () => (await etcdKey(second, "color")) === "blue", { what: "no leader", timeoutMs: 60_000 });
    await first.start();
    expect(await etcdKey(first, "color")).toBe("blue");
  } finally {
    await Promise.all(members.map((member) => member[Symbol.asyncDispose]()));
  }
});

test("nothing is left of what was disposed of", async () => {
  const backends = [await startEtcd(), ...(await startNats()), await startPostgres({ fsync: false })];
  const folders = backends.map(({ logFile }) => dirname(logFile));
  const pids = backends.map(({ pid }) => pid as number);
  expect(folders.every((folder) => existsSync(folder))).toBe(true);
  await Promise.all(backends.map((backend) => backend[Symbol.asyncDispose]()));
  expect(folders.filter((folder) => existsSync(folder))).toEqual([]);
  expect(pids.filter((pid) => existsSync(`/proc/${pid}`))).toEqual([]);
});

test("what cannot start says so with the end of its log", async () => {
  await using etcd = await startEtcd();
  await etcd.stop();
  const stranger = createServer();
  await new Promise<void>((resolve) => stranger.listen(etcd.port, etcd.host, resolve));
  await expect(etcd.start()).rejects.toMatchObject({ reason: "PORT_TAKEN" });
  stranger.close();
  await until(() => !stranger.listening, { what: "the stranger stays", timeoutMs: 60_000 });
  await etcd.start();
});

test("a reserved port is given to nobody else, until it is given back", async () => {
  const first = await reservePorts(50);
  const second = await reservePorts(50);
  expect(new Set([...first.ports, ...second.ports]).size).toBe(100);
  expect(first.ports.every((port) => port < 32_768)).toBe(true);
  first[Symbol.dispose]();
  second[Symbol.dispose]();
});
