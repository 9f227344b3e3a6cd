// A function gets a queue of its own, and gives it back, while it is submitted to without a pause.
import type { ClusterRoute } from "@sluice/client";
import { eventually } from "@sluice/core/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startLoad } from "./load.ts";
import { openWorld, unsuccessful, type World, wrongInLedger } from "./world.ts";

const waitingMin = 2_000;
let world: World;
beforeAll(async () => {
  world = await openWorld({ apiServers: 2, schedulers: 2, agents: 2 });
});
afterAll(() => world[Symbol.asyncDispose]());

test("a function that asks gets a queue, and what waits goes there; when it asks no more all goes back; everything runs once", {
  retry: 0,
  timeout: 240_000,
}, async () => {
  const { client } = world;
  const load = startLoad(client, { prefix: "live", atOnce: 8, runsMs: () => 5, pauseMs: 5 });
  const backlog: string[] = [];
  /** However fast they run, many wait. */
  const fillUp = async () => {
    const started = world.ledger.executions().filter(({ taskId }) => taskId.startsWith("waits")).length;
    const missing = started + waitingMin - backlog.length;
    if (missing <= 0) return;
    const tasks = Array.from({ length: missing }, (_, n) => {
      return { function: "work", taskId: `waits${backlog.length + n}`, payload: "200" };
    });
    for await (const result of client.submitMany(tasks)) if (!result.ok) throw result.error;
    backlog.push(...tasks.map(({ taskId }) => taskId));
  };
  await fillUp();

  await client.functions.update({ name: "work", settings: { dedicatedQueue: true } });
  const { queue } = await untilRoute((route) => route?.state === "open" && route.reason === "asked", fillUp);
  await eventually(async () => (await dispatchedIn(queue)) > 10, { timeoutMs: 60_000, everyMs: 200 });
  await eventually(async () => (await movedTasks()) > 500, { timeoutMs: 60_000, everyMs: 200 });

  await client.functions.update({ name: "work", settings: { dedicatedQueue: false } });
  await untilRoute((route) => route?.state === "folding");
  await eventually(async () => (await dispatchedIn(queue)) === 0, { timeoutMs: 60_000, everyMs: 200 });
  await load.stop();

  const accepted = [...load.accepted, ...backlog];
  expect(load.accepted.length).toBeGreaterThan(1_000);
  expect(await unsuccessful(world, accepted, 120_000)).toEqual([]);
  expect(wrongInLedger(world, accepted)).toEqual([]);
});

function untilRoute(
  is: (route: ClusterRoute | undefined) => boolean,
  meanwhile: () => Promise<void> = async () => {},
): Promise<ClusterRoute> {
  return eventually(
    async () => {
      await meanwhile();
      const [route] = await world.client.cluster.routes();
      if (route === undefined || !is(route)) throw new Error(`the route is ${JSON.stringify(route)}`);
      return route;
    },
    { timeoutMs: 30_000, everyMs: 100 },
  );
}

/** Attempts per second, as its owner reported last. */
async function dispatchedIn(name: string): Promise<number> {
  const { queues } = await world.client.cluster.get();
  const partitions = queues.filter((queue) => queue.name === name).flatMap((queue) => queue.partitions);
  return partitions.reduce((sum, { dispatchedPerSecond }) => sum + dispatchedPerSecond, 0);
}

async function movedTasks(): Promise<number> {
  const counts = ["scheduler-0", "scheduler-1"].map(async (name) => {
    const metrics = await (await fetch(`http://${world.cluster.service(name).httpAddress}/metrics`)).text();
    return Number(/^sluice_scheduler_moved_tasks_total\S* (\d+)/m.exec(metrics)?.[1] ?? 0);
  });
  return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
}
