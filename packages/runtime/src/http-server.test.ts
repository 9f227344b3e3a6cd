import { Counter, Registry } from "prom-client";
import { expect, test } from "vitest";
import { httpServer, type Probe } from "./http-server.ts";
import { processMetrics } from "./metrics.ts";

async function open(health: Record<string, Probe> = {}, details: Record<string, Probe> = {}) {
  const registry = new Registry();
  processMetrics(registry);
  new Counter({ name: "sluice_test_things_total", help: "Things.", registers: [registry] }).inc(3);
  return await httpServer({ address: "127.0.0.1", port: 0, registry, health, details });
}

test("a process without needs is alive and ready", async () => {
  await using server = await open();
  expect(await (await fetch(`${server.url}/healthz`)).json()).toEqual({ status: "ok" });
  expect((await fetch(`${server.url}/readyz`)).status).toBe(200);
});

test("readiness tells what every probe found, and details that do not hold are only told", async () => {
  await using server = await open(
    { store: () => ({ ok: true, rows: 3 }) },
    { dispatch: () => ({ ok: false, agents: 0 }) },
  );
  const response = await fetch(`${server.url}/readyz`);
  expect(response.status).toBe(200);
  expect(await response.json()).toEqual({
    status: "ready",
    checks: { store: { ok: true, rows: 3 } },
    details: { dispatch: { ok: false, agents: 0 } },
  });
});

test("however many ask at the same time, every probe is asked once", async () => {
  let asked = 0;
  let answer: (holds: boolean) => void = () => undefined;
  const answered = new Promise<boolean>((resolve) => {
    answer = resolve;
  });
  await using server = await open({
    store() {
      asked += 1;
      return answered;
    },
  });
  const first = fetch(`${server.url}/readyz`);
  await expect.poll(() => asked).toBe(1);
  const second = fetch(`${server.url}/readyz`);
  await (await fetch(`${server.url}/healthz`)).text();
  answer(true);
  expect([(await first).status, (await second).status]).toEqual([200, 200]);
  expect(asked).toBe(1);
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
  expect(await response.json()).toMatchObject({ status: "not ready", notReady: ["queue", "etcd", "agents"] });
  expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
});

test("a probe that never answers counts as not ready", async () => {
  await using server = await open({ store: () => new Promise(() => {}) });
  const response = await fetch(`${server.url}/readyz`);
  expect(await response.json()).toMatchObject({ status: "not ready", notReady: ["store"] });
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
