// Scenarios: a world, a fault at the worst moment, and what must come of it.
import { setMaxListeners } from "node:events";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createFunction } from "./functions.ts";
import { encodeBehaviour } from "./model/behaviour.ts";
import { openStoreOfRuns, type StoreOfRuns } from "./simulate.ts";
import { World } from "./world.ts";

const account = "red";
const taskCount = 10;
let store: StoreOfRuns;

beforeAll(async () => {
  setMaxListeners(0);
  store = await openStoreOfRuns();
});
afterAll(async () => {
  await store[Symbol.asyncDispose]();
});

/** A world in which ten tasks run, each for `ms`. */
async function startWorld({ ms, agents = 2 }: { ms: number; agents?: number }) {
  const world = new World({ seed: 1, openStore: await store.reset(), agents, schedulers: 2 });
  await world.start([account]);
  const name = await createFunction(world, { account });
  await world.clock.advance(3_000);
  const { tasks } = world.client("client", account);
  const payload = encodeBehaviour({ steps: [{ kind: "ok", ms }], termMs: 0 });
  const draft = {
    function: name,
    taskId: "",
    payload,
    priority: 3,
    delayMs: 0,
    expiresAfterMs: 0,
    submissionToken: "",
  } as const;
  const submitted = tasks.submitTasks(
    { tasks: new Array(taskCount).fill(draft) },
    { signal: new AbortController().signal },
  );
  await world.clock.runUntil(() => world.ledger.runningCount === taskCount, { withinMs: 10_000 });
  await submitted;
  return {
    world,
    settledCount: () =>
      world.server.events.filter((event) => event.kind === "written" && event.applied && event.write.kind === "settle")
        .length,
    async [Symbol.asyncDispose]() {
      await world.end();
    },
  };
}

test("a crash of every scheduler repeats no execution and loses no result", async () => {
  await using scenario = await startWorld({ ms: 12_000 });
  const { world, settledCount } = scenario;
  for (const name of world.names.schedulers) world.scheduler(name).crash();
  await world.clock.runUntil(() => settledCount() === taskCount, { withinMs: 40_000 });
  expect(world.ledger.executions.map(({ attempt, how }) => ({ attempt, how }))).toEqual(
    new Array(taskCount).fill({ attempt: 1, how: "ok" }),
  );
});

test("what ran on a crashed agent runs again elsewhere, after it was killed", async () => {
  await using scenario = await startWorld({ ms: 12_000 });
  const { world, settledCount } = scenario;
  const lost = world.ledger.executions.filter(({ agentId }) => agentId === "a1").length;
  world.agent("a1").crash();
  await world.clock.runUntil(() => settledCount() === taskCount, { withinMs: 90_000 });
  const { executions } = world.ledger;
  expect(lost).toBeGreaterThan(0);
  expect(executions.filter(({ how }) => how === "killed")).toHaveLength(lost);
  expect(executions.filter(({ attempt, how }) => attempt === 2 && how === "ok")).toHaveLength(lost);
  expect(executions).toHaveLength(taskCount + lost);
});

test("an agent that freezes for ten seconds keeps its tasks; one that freezes for a minute loses them", async () => {
  await using scenario = await startWorld({ ms: 45_000 });
  const { world, settledCount } = scenario;
  world.agent("a1").freeze(10_000);
  await world.clock.advance(15_000);
  expect(world.ledger.runningCount).toBe(taskCount);
  world.agent("a1").freeze(60_000);
  await world.clock.runUntil(() => settledCount() === taskCount, { withinMs: 180_000 });
  const ofFrozen = world.ledger.executions.filter(({ agentId, attempt }) => agentId === "a1" && attempt === 1);
  expect(new Set(ofFrozen.map(({ how }) => how))).toEqual(new Set(["killed"]));
});
