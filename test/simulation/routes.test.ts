// Flows that get a queue of their own, and give it back, while they are submitted to.
import { setMaxListeners } from "node:events";
import type { StoreEvent } from "@sluice/checkers";
import { type FlowRoute, readRoutes, wishKey, writeRoute } from "@sluice/coordination";
import { AccountId, dedicatedQueueOf, FunctionName, firstQueueOf, TaskId } from "@sluice/core";
import { functionTopic } from "@sluice/queue";
import type { FunctionSettings } from "@sluice/store";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createFunction } from "./functions.ts";
import { encodeBehaviour } from "./model/behaviour.ts";
import { openStoreOfRuns, type StoreOfRuns } from "./simulate.ts";
import { queues, World } from "./world.ts";

let store: StoreOfRuns;
beforeAll(async () => {
  setMaxListeners(0);
  store = await openStoreOfRuns();
});
afterAll(() => store[Symbol.asyncDispose]());

const never = { signal: new AbortController().signal };
const account = "red";
const accountId = AccountId(account);
const balancer = { idleMs: 20_000, foldMs: 16_000 };

test("a function that asks is given a queue, which takes its new tasks; when it asks no more it goes back, and nothing is left", async () => {
  await using scenario = await startScenario();
  const { world } = scenario;
  await scenario.submit(20);
  await scenario.change({ dedicatedQueue: true });
  await scenario.submit(20);
  await scenario.untilRoute("open");
  await scenario.forget();
  await scenario.submit(100);
  expect(scenario.queuesOfLatest(100)).toEqual([scenario.own]);
  await scenario.untilSettled();
  await scenario.change({ dedicatedQueue: false });
  await scenario.submit(100);
  await scenario.untilRoute("folding");
  await scenario.submit(100);
  expect(scenario.queuesOfLatest(50)).toEqual([scenario.shared]);
  await scenario.untilSettled();
  await scenario.untilRoute("gone");
  await world.clock.runUntil(async () => (await world.coordinator.get(wishKey(scenario.own))) === undefined, {
    withinMs: 30_000,
  });
  scenario.expectEachRanOnce();
});

test("what waits is moved to the flow's own queue, so that the shared one is free, and back from it", async () => {
  await using scenario = await startScenario({ ms: 500 });
  await scenario.submit(1_500);
  await scenario.command("opening");
  await scenario.untilRoute("open");
  await scenario.untilMoved(scenario.own, 1_000);
  await scenario.command("folding");
  await scenario.untilMoved(scenario.shared, 500);
  await scenario.untilSettled();
  scenario.expectEachRanOnce();
});

test("an owner that crashes while rows are moved repeats and loses none", async () => {
  await using scenario = await startScenario({ ms: 300 });
  const { world } = scenario;
  await scenario.submit(600);
  await scenario.command("opening");
  await scenario.untilRoute("open");
  for (const name of world.names.schedulers) {
    await world.clock.advance(300);
    world.scheduler(name).crash();
  }
  await world.clock.advance(8_000);
  await scenario.command("folding");
  await world.clock.advance(1_500);
  for (const name of world.names.schedulers) world.scheduler(name).crash();
  await scenario.untilSettled();
  scenario.expectEachRanOnce();
});

test("what a late api-server writes to a queue that was given up is found and run", async () => {
  await using scenario = await startScenario();
  const { world } = scenario;
  await scenario.command("opening");
  await scenario.untilRoute("open");
  await scenario.submit(10);
  await scenario.untilSettled();
  await scenario.command("folding");
  await scenario.untilRoute("gone");
  await world.clock.runUntil(async () => (await world.coordinator.get(wishKey(scenario.own))) === undefined, {
    withinMs: 30_000,
  });
  await scenario.insertLate();
  await scenario.untilSettled(60_000);
  scenario.expectEachRanOnce();
});

async function startScenario({ ms = 20 }: { readonly ms?: number } = {}) {
  const world = new World({ seed: 1, openStore: await store.reset(), agents: 4, balancer });
  await world.start([account], { shape: ["0", "1"] });
  const name = await createFunction(world, { account });
  const flow = { accountId, functionName: FunctionName(name) };
  const [own, shared] = [dedicatedQueueOf(flow), firstQueueOf(accountId, queues)];
  await world.clock.advance(5_000);
  const { tasks } = world.client("client", account);
  const payload = encodeBehaviour({ steps: [{ kind: "ok", ms }], termMs: 0 });
  const settings = { taskId: "", payload, delayMs: 0, expiresAfterMs: 0, submissionToken: "", tags: [], priority: 2 };
  let submitted = 0;
  const { events } = world.server;
  const inserted = () => events.flatMap((event) => (event.kind === "inserted" ? [event] : []));
  const settled = () =>
    events.filter((event) => event.kind === "written" && event.applied && event.write.kind === "settle");
  const route = async (): Promise<FlowRoute | undefined> => (await readRoutes(world.coordinator))[0];

  return {
    world,
    own,
    shared,
    async submit(count: number) {
      for (let left = count; left > 0; left -= 50) {
        const group = new Array(Math.min(50, left)).fill({ ...settings, function: name });
        let isDone = false;
        void tasks.submitTasks({ tasks: group }, never).then(() => {
          isDone = true;
        });
        await world.clock.runUntil(() => isDone, { withinMs: 5_000 });
      }
      submitted += count;
    },
    async change(changed: Partial<FunctionSettings>) {
      await world.server.exclusive(
        () => world.server.store.functions.update(flow, changed, undefined),
        () => undefined,
      );
      world.signals.send(functionTopic, `${account}/${name}`);
    },
    /** Api-servers hear of a route within two seconds. */
    forget: () => world.clock.advance(2_500),
    async command(state: "opening" | "folding") {
      const known = await route();
      const changed = { state, changedAt: world.clock.now(), reason: "command" } as const;
      await writeRoute(world.coordinator, { ...flow, queue: own, modRevision: known?.modRevision ?? 0, ...changed });
    },
    untilRoute: (state: FlowRoute["state"] | "gone") =>
      world.clock.runUntil(async () => ((await route())?.state ?? "gone") === state, { withinMs: 120_000 }),
    /** Until so many rows were given to a queue. */
    untilMoved: (queue: string, count: number) =>
      world.clock.runUntil(() => events.filter((event) => isMoveTo(event, queue)).length >= count, {
        withinMs: 20_000,
      }),
    queuesOfLatest: (count: number) => [
      ...new Set(
        inserted()
          .slice(-count)
          .map(({ queue }) => queue),
      ),
    ],
    async insertLate() {
      const task = {
        ...flow,
        queue: own,
        lane: 3,
        taskId: TaskId("late"),
        priority: 2 as const,
        delayMs: 0,
        expiresAfterMs: 0,
      };
      const rows = [{ ...task, payload, submissionToken: "", tags: [] }];
      await world.server.exclusive(
        () => world.server.store.tasks.insert(rows),
        () => undefined,
      );
      submitted += 1;
    },
    untilSettled: (withinMs = 120_000) => world.clock.runUntil(() => settled().length === submitted, { withinMs }),
    expectEachRanOnce() {
      expect(world.ledger.executions.map(({ seq }) => seq).sort((a, b) => a - b)).toEqual(
        [...new Set(world.ledger.executions.map(({ seq }) => seq))].sort((a, b) => a - b),
      );
      expect(world.ledger.executions).toHaveLength(submitted);
    },
    [Symbol.asyncDispose]: () => world.end(),
  };
}

function isMoveTo(event: StoreEvent, queue: string): boolean {
  if (event.kind !== "written" || !event.applied || event.write.kind !== "park") return false;
  return event.write.moveTo?.queue === queue;
}
