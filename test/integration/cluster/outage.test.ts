// A backend that is away for a while. The length of an outage is part of what is promised, so here it is waited for.
import { connect, Unavailable } from "@sluice/client";
import { eventually } from "@sluice/core/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startLoad } from "./load.ts";
import { openWorld, unsuccessful, type World, wrongInLedger } from "./world.ts";

/** After the return of a backend, work resumes within this time, in ms. */
const resumesWithinMs = 10_000;

let world: World;
beforeAll(async () => {
  world = await openWorld({ apiServers: 1, schedulers: 2, agents: 1 });
});
afterAll(() => world[Symbol.asyncDispose]());

const lasts = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const submit = (taskId: string, runsMs: number) =>
  world.client.submit({ function: "work", taskId, payload: String(runsMs) });
const started = () => new Set(world.ledger.executions().map(({ taskId }) => taskId));

test("nats-server away for 20 s: submissions go on, and the tasks that waited run within 10 s of its return", {
  retry: 0,
}, async () => {
  const nats = world.part("nats-0");
  const load = startLoad(world.client, { prefix: "nats-", atOnce: 4, runsMs: () => 20, pauseMs: 50 });
  await eventually(() => load.accepted.length > 50);
  await nats.stop();
  const before = load.accepted.length;
  await lasts(20_000);
  expect(load.accepted.length).toBeGreaterThan(before + 100);
  await load.stop();
  await nats.start();

  expect(await unsuccessful(world, load.accepted, resumesWithinMs)).toEqual([]);
  expect(wrongInLedger(world, load.accepted)).toEqual([]);
});

test("PostgreSQL away for 20 s: submissions fail fast, results are kept, and work resumes within 10 s of its return", {
  retry: 0,
}, async () => {
  const postgres = world.part("postgres");
  const load = startLoad(world.client, { prefix: "pg-", atOnce: 4, runsMs: () => 20, pauseMs: 50 });
  await eventually(() => load.accepted.length > 50);
  // Ends while the store is away.
  await submit("pg-long", 8_000);
  await eventually(() => started().has("pg-long"));
  await postgres.stop("SIGKILL");
  await using impatient = connect({ ...world.cluster.profile, retryTimeoutMs: 1 });
  const failedAfter = performance.now();
  await expect(impatient.submit({ function: "work", taskId: "pg-refused", payload: "1" })).rejects.toBeInstanceOf(
    Unavailable,
  );
  expect(performance.now() - failedAfter).toBeLessThan(5_000);
  await lasts(20_000);
  await postgres.start();
  const returnedAt = load.accepted.length;

  await eventually(() => load.accepted.length > returnedAt, { timeoutMs: resumesWithinMs });
  await load.stop();
  const accepted = [...load.accepted, "pg-long"];
  expect(await unsuccessful(world, accepted, resumesWithinMs)).toEqual([]);
  expect(wrongInLedger(world, accepted)).toEqual([]);
});

test("etcd away for 60 s: running tasks go on and are settled, nothing is repeated, dispatch resumes within 10 s", {
  retry: 0,
  timeout: 240_000,
}, async () => {
  const etcd = world.part("etcd");
  await submit("etcd-ends-meanwhile", 30_000);
  await submit("etcd-ends-after", 75_000);
  await eventually(() => started().has("etcd-ends-after") && started().has("etcd-ends-meanwhile"));
  await etcd.stop("SIGKILL");
  await lasts(60_000);
  expect((await world.client.get("work", "etcd-ends-meanwhile")).status).toBe("Succeeded");
  await submit("etcd-waits", 20);
  await etcd.start();

  expect(await unsuccessful(world, ["etcd-waits"], resumesWithinMs)).toEqual([]);
  const all = ["etcd-ends-meanwhile", "etcd-ends-after", "etcd-waits"];
  expect(await unsuccessful(world, all, 60_000)).toEqual([]);
  expect(wrongInLedger(world, all)).toEqual([]);
  expect(world.ledger.executions().filter(({ attempt, taskId }) => all.includes(taskId) && attempt > 1)).toEqual([]);
});
