// Scenarios of preemption: an agent that is full of what may be stopped, and something urgent.
import { setMaxListeners } from "node:events";
import { check, emptyHistory } from "@sluice/checkers";
import type { Seq } from "@sluice/core";
import { Priority } from "@sluice/protocol";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createFunction } from "./functions.ts";
import { encodeBehaviour } from "./model/behaviour.ts";
import { openStoreOfRuns, type StoreOfRuns } from "./simulate.ts";
import { World } from "./world.ts";

const account = "red";
/** Of the only agent. */
const slots = 8;
let store: StoreOfRuns;

beforeAll(async () => {
  setMaxListeners(0);
  store = await openStoreOfRuns();
});
afterAll(async () => {
  await store[Symbol.asyncDispose]();
});

test("an urgent task takes the slot of one that is preemptible, which runs again and has lost no retry", async () => {
  await using scenario = await startFull();
  const { world } = scenario;
  const [urgent] = await scenario.submit("quick", Priority.URGENT, 1);
  await world.clock.runUntil(() => scenario.startsOf(urgent) > 0, { withinMs: 5_000 });
  await world.clock.runUntil(() => scenario.isEverythingFinal(), { withinMs: 120_000 });
  expect(scenario.statuses()).toEqual(new Array(slots + 1).fill("Succeeded"));
  const repeated = scenario.slow.filter((seq) => scenario.startsOf(seq) === 2);
  expect(repeated).toHaveLength(1);
  expect(scenario.violations()).toEqual([]);
});

test("an owner that takes over while one is being stopped comes to the same conclusion", async () => {
  await using scenario = await startFull({ termMs: 1_500 });
  const { world } = scenario;
  await scenario.submit("quick", Priority.URGENT, 1);
  await world.clock.advance(500);
  const owner = world.scheduler(world.names.schedulers[0] as string);
  owner.crash();
  await world.clock.runUntil(() => scenario.isEverythingFinal(), { withinMs: 180_000 });
  expect(scenario.slow.filter((seq) => scenario.startsOf(seq) === 2)).toHaveLength(1);
  expect(scenario.statuses()).toEqual(new Array(slots + 1).fill("Succeeded"));
  expect(scenario.violations()).toEqual([]);
});

test("nothing is stopped for a task that is not urgent", async () => {
  await using scenario = await startFull();
  const { world } = scenario;
  await scenario.submit("quick", Priority.NORMAL, 1);
  await world.clock.runUntil(() => scenario.isEverythingFinal(), { withinMs: 120_000 });
  expect(scenario.slow.every((seq) => scenario.startsOf(seq) === 1)).toBe(true);
});

/** Two schedulers, one agent, and a preemptible function that fills it with tasks of low priority for 30 s. */
async function startFull({ termMs = 0 } = {}) {
  const size = { schedulers: 2, agents: 1, apiServers: 1 };
  const world = new World({ seed: 1, openStore: await store.reset(), ...size });
  await world.start([account], { shape: [""] });
  await createFunction(world, { account, name: "slow", settings: { instancesMax: slots, preemptible: true } });
  await createFunction(world, { account, name: "quick", settings: { instancesMax: slots } });
  const { tasks } = world.client("client", account);
  await world.clock.advance(5_000);
  const inserted = () => world.server.events.flatMap((event) => (event.kind === "inserted" ? [event.seq] : []));
  const finals = () => {
    const ends = new Map<Seq, string>();
    for (const event of world.server.events) {
      if (event.kind === "written" && event.applied && event.write.kind === "settle") {
        ends.set(event.write.seq, event.write.status);
      }
    }
    return ends;
  };
  const startsOf = (seq: Seq | undefined) => world.ledger.executions.filter((each) => each.seq === seq).length;
  const scenario = {
    world,
    slow: [] as readonly Seq[],
    startsOf,
    async submit(name: string, priority: Priority, count: number): Promise<Seq[]> {
      const payload = encodeBehaviour({ steps: [{ kind: "ok", ms: name === "slow" ? 30_000 : 100 }], termMs });
      const common = { taskId: "", delayMs: 0, expiresAfterMs: 0, submissionToken: "", tags: [] };
      const drafts = Array.from({ length: count }, () => ({ ...common, function: name, payload, priority }));
      const before = inserted().length;
      let isAnswered = false;
      const answered = tasks.submitTasks({ tasks: drafts }, { signal: new AbortController().signal }).finally(() => {
        isAnswered = true;
      });
      await Promise.all([answered, world.clock.runUntil(() => isAnswered, { withinMs: 5_000 })]);
      return inserted().slice(before);
    },
    isEverythingFinal: () => finals().size === inserted().length,
    statuses: () => [...finals().values()],
    violations: () => check({ ...emptyHistory(), store: world.server.events, agents: world.agentEvents, calm: [] }),
    [Symbol.asyncDispose]: () => world.end(),
  };
  scenario.slow = await scenario.submit("slow", Priority.LOW, slots);
  await world.clock.runUntil(() => scenario.slow.every((seq) => startsOf(seq) > 0), { withinMs: 10_000 });
  return scenario;
}
