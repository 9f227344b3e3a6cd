// A backlog of calls to a service that takes only so many per second: it is driven at about what it takes, and nothing is lost.
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { connect, isFinal, type SluiceClient, type Task } from "@sluice/client";
import { type Cluster, startCluster } from "@sluice/cluster";
import { eventually } from "@sluice/core/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { functionZip } from "../function-zip.ts";

const perSecond = 100;
const burst = 20;
const count = 400;
let downstream: Downstream;
let cluster: Cluster;
let client: SluiceClient;
beforeAll(async () => {
  downstream = await startDownstream();
  cluster = await startCluster({ apiServers: 1, schedulers: 1, agents: 1 });
  client = connect(cluster.profile);
});
afterAll(async () => {
  await client?.close();
  await cluster?.[Symbol.asyncDispose]();
  downstream?.server.close();
});

const handler = `
exports.handler = async () => {
  const response = await fetch(process.env.DOWNSTREAM);
  await response.text();
  if (response.status !== 429) return "done";
  const error = new Error("the service is busy");
  error.name = "FlowControlError";
  error.retryAfterMs = 1_000 * Number(response.headers.get("retry-after"));
  throw error;
};`;

test("all of a backlog succeeds without a retry, few calls are refused once the limit is found, and it can be seen", async () => {
  const environment = { DOWNSTREAM: downstream.url };
  const common = { runtime: "nodejs20", handler: "index.handler", instanceConcurrency: 50, maxAsyncRetryAttempts: 0 };
  const codeZip = await functionZip({ "index.js": handler });
  await client.functions.deploy({ name: "call", settings: { ...common, environment }, codeZip });
  const tasks = Array.from({ length: count }, (_, n) => ({ function: "call", taskId: `t${n}` }));
  for await (const result of client.submitMany(tasks)) expect(result.ok).toBe(true);

  const isHeldBack = async () =>
    (await metric("sluice_scheduler_slowed_down_flows")) === 1 && (await metric(rateName)) > 0;
  await eventually(isHeldBack, { timeoutMs: 60_000, everyMs: 50 });
  const callsUntilFound = downstream.calls.length;
  const ended = await eventually(
    async () => {
      const final: Task[] = [];
      for await (const task of client.list({ function: "call" })) if (isFinal(task)) final.push(task);
      if (final.length < count) throw new Error(`${final.length} are final`);
      return final;
    },
    { timeoutMs: 90_000, everyMs: 200 },
  );
  expect(ended.filter(({ status, retries }) => status !== "Succeeded" || retries !== 0)).toEqual([]);

  const { calls } = downstream;
  expect(calls.filter(Boolean)).toHaveLength(count);
  // A refused call is an attempt of its own.
  expect(ended.reduce((sum, { attempt }) => sum + attempt, 0)).toBe(calls.length);
  const settled = calls.slice(callsUntilFound);
  const refused = settled.filter((isAccepted) => !isAccepted).length;
  expect(calls.length, "its limit was passed").toBeGreaterThan(count);
  expect(settled.length).toBeGreaterThan(count / 4);
  expect(refused / settled.length).toBeLessThan(0.2);
  expect(await metric("sluice_scheduler_flow_control_errors_total")).toBe(calls.length - count);
  expect(await metric("sluice_scheduler_slowed_flows_total")).toBeGreaterThan(0);
});

const rateName = "sluice_scheduler_slowed_down_rate_attempts_per_second";

async function metric(name: string): Promise<number> {
  const text = await (await fetch(`http://${cluster.service("scheduler-0").httpAddress}/metrics`)).text();
  return Number(new RegExp(`^${name}(?:\\{\\S*\\})? (\\S+)`, "m").exec(text)?.[1] ?? 0);
}

interface Downstream {
  readonly server: Server;
  readonly url: string;
  /** Whether each call was accepted, in order. */
  readonly calls: readonly boolean[];
}

/** A token bucket on the real clock. */
async function startDownstream(): Promise<Downstream> {
  const calls: boolean[] = [];
  let tokens = burst;
  let filledAt = performance.now();
  const server = createServer((_request, response) => {
    const now = performance.now();
    tokens = Math.min(burst, tokens + ((now - filledAt) / 1_000) * perSecond);
    filledAt = now;
    const isAccepted = tokens >= 1;
    calls.push(isAccepted);
    if (isAccepted) tokens--;
    response.writeHead(isAccepted ? 200 : 429, isAccepted ? {} : { "retry-after": "1" }).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, calls };
}
