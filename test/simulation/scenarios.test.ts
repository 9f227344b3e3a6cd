// Scenarios: a world, a fault at the worst moment, and what must come of it.
import { setMaxListeners } from "node:events";
import { leftIn } from "@sluice/checkers";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createFunction } from "./functions.ts";
import { encodeBehaviour } from "./model/behaviour.ts";
import { findRest } from "./recorders/rest.ts";
import { openStoreOfRuns, type StoreOfRuns } from "./simulate.ts";
import { World } from "./world.ts";

const account = "red";
const taskCount = 10;
const failing = { kind: "retryable", ms: 1_000 } as const;
let store: StoreOfRuns;

beforeAll(async () => {
  setMaxListeners(0);
  store = await openStoreOfRuns();
});
afterAll(async () => {
  await store[Symbol.asyncDispose]();
});

/** A world in which ten tasks run, each for `ms`; `isRetried`: after an attempt of a second that fails. */
async function startWorld({ ms, agents = 2, isRetried = false }: { ms: number; agents?: number; isRetried?: boolean }) {
  const world = new World({ seed: 1, openStore: await store.reset(), agents, schedulers: 2 });
  await world.start([account]);
  const name = await createFunction(world, { account });
  await world.clock.advance(3_000);
  const { tasks } = world.client("client", account);
  const payload = encodeBehaviour({ steps: [...(isRetried ? [failing] : []), { kind: "ok", ms }], termMs: 0 });
  const draft = {
    function: name,
    taskId: "",
    payload,
    priority: 3,
    delayMs: 0,
    expiresAfterMs: 0,
    submissionToken: "",
    tags: [],
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

test("a scheduler whose wall clock is an hour wrong parks no retry for an hour", async () => {
  for (const ms of [3_600_000, -3_600_000]) {
    await using scenario = await startWorld({ ms: 1_000, isRetried: true });
    const { world, settledCount } = scenario;
    for (const name of world.names.schedulers) world.scheduler(name).stepClock(ms);
    await world.clock.runUntil(() => settledCount() === taskCount, { withinMs: 30_000 });
    expect(world.ledger.executions.map(({ attempt }) => attempt)).toEqual([
      ...new Array(taskCount).fill(1),
      ...new Array(taskCount).fill(2),
    ]);
  }
});

test("what runs while etcd has no quorum for a minute runs to its end, and is settled, once", async () => {
  await using scenario = await startWorld({ ms: 40_000 });
  const { world, settledCount } = scenario;
  const giveBack = world.coordinator.loseQuorum();
  await world.clock.advance(60_000);
  expect(world.ledger.executions.map(({ how }) => how)).toEqual(new Array(taskCount).fill("ok"));
  giveBack();
  await world.clock.runUntil(() => settledCount() === taskCount, { withinMs: 20_000 });
  expect(world.ledger.executions).toHaveLength(taskCount);
});

test("a wiped etcd repeats no execution, and its new epochs are taken", async () => {
  await using scenario = await startWorld({ ms: 12_000 });
  const { world, settledCount } = scenario;
  world.coordinator.wipe();
  await world.clock.runUntil(() => settledCount() === taskCount, { withinMs: 60_000 });
  expect(world.ledger.executions).toHaveLength(taskCount);
});

test("a stream that is deleted with all that waits loses no task and repeats none", async () => {
  await using scenario = await startWorld({ ms: 300, isRetried: true });
  const { world, settledCount } = scenario;
  // Retries are announced from now on, and their messages are deleted.
  await world.clock.runUntil(() => world.queue.size > 0 && world.ledger.runningCount === 0, { withinMs: 10_000 });
  world.queue.deleteStream();
  world.queue.recreateConsumers(() => 500);
  await world.clock.runUntil(() => settledCount() === taskCount, { withinMs: 60_000 });
  expect(world.ledger.executions).toHaveLength(2 * taskCount);
});

test("an agent that comes back while what it lost runs elsewhere forgets that when it has ended there (seed 1230)", async () => {
  await using scenario = await startWorld({ ms: 8_000 });
  const { world, settledCount } = scenario;
  const letBack = await loseWithOwners(world, "a1");
  await world.clock.runUntil(() => world.ledger.runningCount > 0, { withinMs: 40_000 });
  letBack();
  await world.clock.runUntil(() => settledCount() === taskCount, { withinMs: 60_000 });
  await world.clock.advance(5_000);
  expect(world.ledger.executions.length).toBeGreaterThan(taskCount);
  expect(leftIn(await findRest(world))).toEqual([]);
});

test("what forgets a timer for each task leaves more of them than a process has loops", async () => {
  await using scenario = await startWorld({ ms: 300 });
  const { world, settledCount } = scenario;
  await world.clock.runUntil(() => settledCount() === taskCount, { withinMs: 60_000 });
  const timers = async () => (await findRest(world)).found.filter(({ kind }) => kind === "timer");
  expect(await timers()).toEqual([]);
  const node = world.nodes.find(({ host }) => host === "a1");
  for (let count = 0; count < taskCount; count++) node?.clock.timer(3_600_000, () => {});
  expect(await timers()).toMatchObject([{ holder: node?.name }]);
});

/**
 * What an agent runs comes to its end, and nobody hears of it: the agent is cut off, and gone before those come back who
 * knew of it. Returns how to let the agent come back.
 */
async function loseWithOwners(world: World, agent: string): Promise<() => void> {
  const cuts = world.names.schedulers.map((name) => world.network.cut(agent, name));
  await world.clock.runUntil(() => world.ledger.runningCount === 0, { withinMs: 10_000 });
  const away = world.names.schedulers.map((name) => world.scheduler(name).keepDown());
  world.agent(agent).stop();
  await world.clock.runUntil(() => !world.agent(agent).isUp, { withinMs: 20_000 });
  const letBack = world.agent(agent).keepDown();
  for (const comeBack of [...cuts, ...away]) comeBack();
  return letBack;
}
