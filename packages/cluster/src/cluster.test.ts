import { existsSync, readFileSync } from "node:fs";
import { buffer } from "node:stream/consumers";
import { connect, type SluiceClient } from "@sluice/client";
import { eventually } from "@sluice/core/testing";
import { expect, test } from "vitest";
import { ZipFile } from "yazl";
import { type Cluster, startCluster } from "./cluster.ts";

const handler = `exports.handler = async (event) => "Hello, " + event;`;

async function deployHello(client: SluiceClient): Promise<void> {
  const zip = new ZipFile();
  zip.addBuffer(Buffer.from(handler), "index.js");
  zip.end();
  const settings = { runtime: "nodejs20", handler: "index.handler" };
  await client.functions.deploy({ name: "hello", settings, codeZip: await buffer(zip.outputStream) });
}

async function runsTask(client: SluiceClient, taskId: string): Promise<void> {
  await client.submit({ function: "hello", taskId, payload: "world" });
  const { status, result } = await client.wait("hello", taskId);
  expect([status, new TextDecoder().decode(result)]).toEqual(["Succeeded", "Hello, world"]);
}

const partsOf = (cluster: Cluster) => [...cluster.services, ...cluster.backends];
const pidsOf = (cluster: Cluster) => partsOf(cluster).map(({ pid }) => pid as number);
const readJson = (file: string) => JSON.parse(readFileSync(file, "utf8"));

test("a small cluster runs tasks, also after parts of it were killed and started again, and leaves nothing", async () => {
  const cluster = await startCluster({
    apiServers: 1,
    schedulers: 1,
    agents: 1,
    fsync: false,
    restart: true,
    environment: { scheduler: { SLUICE_SCHEDULER_LEASE_PROFILE: "fast" } },
  });
  const { dataDir } = cluster;
  expect(partsOf(cluster).map(({ name }) => name)).toEqual([
    "api-server-0",
    "scheduler-0",
    "agent-0",
    "etcd",
    "nats-0",
    "postgres",
  ]);
  await using client = connect(cluster.profile);
  await deployHello(client);
  await runsTask(client, "first");

  const before = pidsOf(cluster);
  for (const name of ["scheduler-0", "agent-0"]) cluster.service(name).kill("SIGKILL");
  cluster.backends.find(({ name }) => name === "nats-0")?.kill("SIGKILL");
  const renewed = () => pidsOf(cluster).filter((pid) => pid !== undefined && !before.includes(pid));
  await eventually(() => renewed().length === 3, { timeoutMs: 60_000 });
  await runsTask(client, "second");

  const { services, backends } = readJson(`${dataDir}/cluster.json`) as Record<string, readonly { pid: number }[]>;
  expect([...(services ?? []), ...(backends ?? [])].map(({ pid }) => pid)).toEqual(pidsOf(cluster));
  expect(readJson(`${dataDir}/client.json`)).toEqual(cluster.profile);

  const pids = pidsOf(cluster);
  await cluster[Symbol.asyncDispose]();
  expect(pids.filter((pid) => existsSync(`/proc/${pid}`))).toEqual([]);
  expect(existsSync(dataDir)).toBe(false);
});

test("a start that is given up ends what it has started", async () => {
  const controller = new AbortController();
  const started: Cluster["services"][number][] = [];
  const starting = startCluster({
    apiServers: 1,
    schedulers: 1,
    agents: 1,
    signal: controller.signal,
    onStarted(part) {
      if (!("httpAddress" in part)) return;
      started.push(part);
      if (started.length === 3) controller.abort(new Error("changed my mind"));
    },
  });
  await expect(starting).rejects.toThrow("changed my mind");
  expect(started.map(({ pid }) => pid)).toEqual([undefined, undefined, undefined]);
  expect(started.filter(({ logFile }) => existsSync(logFile))).toEqual([]);
});

test("a service that cannot start is told with the end of its log", async () => {
  const wrong = { agent: { SLUICE_AGENT_SLOTS: "many" } };
  await expect(startCluster({ apiServers: 1, schedulers: 1, agents: 1, environment: wrong })).rejects.toThrow(
    /agent-0 ended before it was ready.*SLUICE_AGENT_SLOTS must be/s,
  );
});
