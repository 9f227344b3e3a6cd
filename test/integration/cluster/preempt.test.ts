// An urgent task starts on an agent that is full of tasks of low priority, of another queue, which go on for as long as they may.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type SluiceClient, type Task } from "@sluice/client";
import { type Cluster, startCluster } from "@sluice/cluster";
import { eventually } from "@sluice/core/testing";
import { afterAll, afterEach, expect, test } from "vitest";
import { functionZip } from "../function-zip.ts";

const instances = 4;
const folder = mkdtempSync(join(tmpdir(), "sluice-test-"));
const journal = join(folder, "journal");
const release = join(folder, "release");
let cluster: Cluster | undefined;
let client: SluiceClient;
afterEach(async () => {
  await client?.close();
  await cluster?.[Symbol.asyncDispose]();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Writes that it has begun; one whose payload is `wait` ends when the test lets it. */
const handler = `
const { appendFileSync, existsSync } = require("node:fs");
exports.handler = async (event, { taskId }) => {
  appendFileSync(process.env.FOLDER + "/journal", taskId + "\\n");
  while (event.toString() === "wait" && !existsSync(process.env.FOLDER + "/release"))
    await new Promise((resolve) => setTimeout(resolve, 20));
  return taskId;
};`;

test.each([
  ["slot", { slots: instances, lowCount: instances }],
  ["instance, although it has slots, and more low ones wait for instances", { slots: 64, lowCount: 2 * instances }],
])(
  "an urgent task takes the place of a low one on an agent without a free %s; that one loses no retry and succeeds later",
  async (_what, { slots, lowCount }) => {
    writeFileSync(journal, "");
    rmSync(release, { force: true });
    const environment = { agent: { SLUICE_AGENT_SLOTS: String(slots), SLUICE_AGENT_INSTANCES_MAX: String(instances) } };
    cluster = await startCluster({ apiServers: 1, schedulers: 2, agents: 1, environment });
    client = connect(cluster.profile);
    await deploy("slow", { preemptible: true });
    await deploy("quick", {});
    // Another queue is another partition.
    await client.cluster.addRoute("default", "quick");
    await eventually(async () => (await client.cluster.routes())[0]?.state === "open", {
      timeoutMs: 60_000,
      everyMs: 100,
    });
    await client.submit({ function: "quick", taskId: "first" });
    await client.wait("quick", "first");
    const lows = Array.from({ length: lowCount }, (_, n) => `low${n}`);
    for (const taskId of lows) {
      await client.submit({ function: "slow", taskId, payload: "wait", priority: "low" });
    }
    await eventually(() => lows.filter((taskId) => startsOf(taskId) > 0).length === instances, { timeoutMs: 60_000 });

    await client.submit({ function: "quick", taskId: "urgent", priority: "urgent" });
    // Nothing but preemption lets it start: none of the others ends by itself.
    await eventually(() => startsOf("urgent") > 0, { timeoutMs: 60_000 });
    expect(await client.wait("quick", "urgent")).toMatchObject({ status: "Succeeded", attempt: 1 });
    const running = await Promise.all(lows.map((taskId) => client.get("slow", taskId)));
    expect(running.filter(isPreempted).length).toBeGreaterThan(0);

    writeFileSync(release, "");
    const ended = await Promise.all(lows.map((taskId) => client.wait("slow", taskId)));
    expect(ended.map(({ status, retries }) => ({ status, retries }))).toEqual(
      lows.map(() => ({ status: "Succeeded", retries: 0 })),
    );
    expect(Math.max(...ended.map(({ attempt }) => attempt))).toBeLessThanOrEqual(4);
  },
);

async function deploy(name: string, settings: { readonly preemptible?: boolean }): Promise<void> {
  const common = { runtime: "nodejs20", handler: "index.handler", timeoutMs: 300_000, maxAsyncRetryAttempts: 0 };
  const codeZip = await functionZip({ "index.js": handler });
  await client.functions.deploy({
    name,
    settings: { ...common, ...settings, environment: { FOLDER: folder } },
    codeZip,
  });
}

function startsOf(taskId: string): number {
  return readFileSync(journal, "utf8")
    .split("\n")
    .filter((line) => line === taskId).length;
}

function isPreempted({ events }: Task): boolean {
  return events.some(({ detail }) => detail.includes('"Preempted"'));
}
