import { Counter, Registry } from "prom-client";
import { expect, test } from "vitest";
import { httpServer, type Probe } from "./http-server.ts";
import { processMetrics } from "./metrics.ts";

async function open(health: Record<string, Probe> = {}) {
  const registry = new Registry();
  processMetrics(registry);
  new Counter({ name: "sluice_test_things_total", help: "Things.", registers: [registry] }).inc(3);
  return await httpServer({ address: "127.0.0.1", port: 0, registry, health });
}

test("a process without needs is alive and ready", async () => {
  await using server = await open();
  expect(await (await fetch(`${server.url}/healthz`)).json()).toEqual({ status: "ok" });
  expect((await fetch(`${server.url}/readyz`)).status).toBe(200);
});

test("readiness names what is not ready, whether it says no, throws or rejects", async () => {
  await using server = await open({
    store: () => true,
    queue: async () => false,
    etcd: () => {
      throw new Error("down");
    },
    agents: () => Promise.reject(new Error("down")),
  });
  const response = await fetch(`${server.url}/readyz`);
  expect(response.status).toBe(503);
  expect(await response.json()).toEqual({ status: "not ready", notReady: ["queue", "etcd", "agents"] });
  expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
});

test("a probe that never answers counts as not ready", async () => {
  await using server = await open({ store: () => new Promise(() => {}) });
  const response = await fetch(`${server.url}/readyz`);
  expect(await response.json()).toEqual({ status: "not ready", notReady: ["store"] });
});

test("metrics are those of the registry and of the process", async () => {
  await using server = await open();
  const response = await fetch(`${server.url}/metrics`);
  expect(response.headers.get("content-type")).toContain("text/plain");
  const body = await response.text();
  expect(body).toContain("sluice_test_things_total 3");
  expect(body).toContain("nodejs_eventloop_lag_p99_seconds");
  expect(body).toContain("process_resident_memory_bytes");
});

test("a port that is taken is a typed error", async () => {
  await using server = await open();
  const second = httpServer({ address: "127.0.0.1", port: server.port, registry: new Registry(), health: {} });
  await expect(second).rejects.toMatchObject({ code: "unavailable", reason: "ADDRESS_UNAVAILABLE" });
});

test("it closes although a client keeps its connection", async () => {
  const server = await open();
  await (await fetch(`${server.url}/healthz`)).text();
  await server[Symbol.asyncDispose]();
  await expect(fetch(`${server.url}/healthz`)).rejects.toThrow();
});
