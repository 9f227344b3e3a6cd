// Scenarios of preemption: an agent that is full of what may be stopped, and something urgent.
import { setMaxListeners } from "node:events";
import { check, emptyHistory } from "@sluice/checkers";
import { claimsPrefix } from "@sluice/coordination";
import { covers, type Prefix, type Seq } from "@sluice/core";
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
  expect(scenario.notSucceeded()).toEqual([]);
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
  expect(scenario.notSucceeded()).toEqual([]);
  expect(scenario.violations()).toEqual([]);
});

test("nothing is stopped for a task that is not urgent", async () => {
  await using scenario = await startFull();
  const { world } = scenario;
  await scenario.submit("quick", Priority.NORMAL, 1);
  await world.clock.runUntil(() => scenario.isEverythingFinal(), { withinMs: 120_000 });
  expect(scenario.slow.every((seq) => scenario.startsOf(seq) === 1)).toBe(true);
});

test("an urgent task of one partition takes the slot of a low one of another partition, of another scheduler", async () => {
  await using scenario = await startFull({ shape: ["0", "1"] });
  const { world } = scenario;
  const [urgent] = await scenario.submit("quick", Priority.URGENT, 1);
  await world.clock.runUntil(() => scenario.startsOf(urgent) > 0, { withinMs: 5_000 });
  const owners = await Promise.all([urgent, scenario.slow[0]].map((seq) => scenario.ownerOf(seq)));
  expect(owners[0]?.partition).not.toBe(owners[1]?.partition);
  expect(owners[0]?.scheduler).not.toBe(owners[1]?.scheduler);
  await world.clock.runUntil(() => scenario.isEverythingFinal(), { withinMs: 120_000 });
  expect(scenario.slow.filter((seq) => scenario.startsOf(seq) === 2)).toHaveLength(1);
  expect(scenario.retriesOf(scenario.slow)).toEqual(new Array(slots).fill(0));
  expect(scenario.notSucceeded()).toEqual([]);
  expect(scenario.violations()).toEqual([]);
});

test("one of another partition is stopped once for each urgent task, and three times at most", async () => {
  await using scenario = await startFull({ shape: ["0", "1"] });
  const { world, slow } = scenario;
  for (let round = 1; round <= 6; round++) {
    const [urgent] = await scenario.submit("quick", Priority.HIGH, 1);
    await world.clock.runUntil(() => scenario.startsOf(urgent) > 0, { withinMs: 60_000 });
    // What was stopped is back, and was started last.
    await world.clock.advance(5_000);
  }
  await world.clock.runUntil(() => scenario.isEverythingFinal(), { withinMs: 300_000 });
  const stops = slow.map((seq) => scenario.startsOf(seq) - 1);
  expect(Math.max(...stops)).toBeLessThanOrEqual(3);
  expect(stops.reduce((sum, count) => sum + count, 0)).toBe(6);
  expect(scenario.notSucceeded()).toEqual([]);
  expect(scenario.violations()).toEqual([]);
});

test.each([
  ["of the same priority", Priority.HIGH],
  ["of a higher one", Priority.URGENT],
])("nothing of another partition is stopped that is %s", async (_what, priority) => {
  await using scenario = await startFull({ shape: ["0", "1"], priority });
  const { world } = scenario;
  await scenario.submit("quick", Priority.HIGH, 1);
  await world.clock.runUntil(() => scenario.isEverythingFinal(), { withinMs: 120_000 });
  expect(scenario.slow.every((seq) => scenario.startsOf(seq) === 1)).toBe(true);
});

interface FullOptions {
  readonly termMs?: number;
  readonly shape?: readonly Prefix[];
  /** Of what fills the agent. */
  readonly priority?: Priority;
}

/**
 * Two schedulers, one agent, and a preemptible function that fills it with tasks of low priority for 30 s. What is submitted
 * next goes into the other half of the lanes.
 */
async function startFull({ termMs = 0, shape = [""], priority = Priority.LOW }: FullOptions = {}) {
  const size = { schedulers: 2, agents: 1, apiServers: 1 };
  const world = new World({ seed: 1, openStore: await store.reset(), ...size });
  await world.start([account], { shape });
  await createFunction(world, { account, name: "slow", settings: { instancesMax: slots, preemptible: true } });
  await createFunction(world, { account, name: "quick", settings: { instancesMax: slots } });
  const { tasks } = world.client("client", account);
  await world.clock.advance(5_000);
  const insertions = () => world.server.events.flatMap((event) => (event.kind === "inserted" ? [event] : []));
  const inserted = () => insertions().map(({ seq }) => seq);
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
    notSucceeded: () => [...finals()].filter(([, status]) => status !== "Succeeded"),
    /** As their parkings say. */
    retriesOf: (seqs: readonly Seq[]) =>
      seqs.map((seq) =>
        world.server.events.reduce((retries, event) => {
          const isPark = event.kind === "written" && event.write.kind === "park" && event.write.seq === seq;
          return isPark && event.write.kind === "park" ? Math.max(retries, event.write.retries) : retries;
        }, 0),
      ),
    async ownerOf(seq: Seq | undefined) {
      const { queue, lane } = insertions().find((event) => event.seq === seq) ?? { queue: "", lane: 0 };
      const claims = await world.coordinator.list(claimsPrefix);
      const claim = claims.find(({ key }) => {
        const [of, prefix = ""] = key.slice(claimsPrefix.length).split("/");
        return of === queue && covers(prefix === "-" ? "" : prefix, lane);
      });
      return { partition: claim?.key, scheduler: claim?.value };
    },
    violations: () => check({ ...emptyHistory(), store: world.server.events, agents: world.agentEvents, calm: [] }),
    [Symbol.asyncDispose]: () => world.end(),
  };
  // Each submission takes the next lane.
  while (insertions().at(-1)?.lane !== 14) await scenario.submit("quick", Priority.NORMAL, 1);
  await world.clock.runUntil(() => scenario.isEverythingFinal(), { withinMs: 20_000 });
  scenario.slow = await scenario.submit("slow", priority, slots);
  await world.clock.runUntil(() => scenario.slow.every((seq) => startsOf(seq) > 0), { withinMs: 10_000 });
  return scenario;
}
