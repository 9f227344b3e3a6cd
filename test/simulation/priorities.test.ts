// Scenarios of priorities: an agent that is never idle, and who has to wait for it.
import { setMaxListeners } from "node:events";
import { check, emptyHistory } from "@sluice/checkers";
import { Priority } from "@sluice/protocol";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createFunction } from "./functions.ts";
import { encodeBehaviour } from "./model/behaviour.ts";
import { openStoreOfRuns, type StoreOfRuns } from "./simulate.ts";
import { World } from "./world.ts";

const account = "red";
/** Of the only agent. */
const slots = 8;
const patienceOfLowMs = 600_000;
let store: StoreOfRuns;

beforeAll(async () => {
  setMaxListeners(0);
  store = await openStoreOfRuns();
});
afterAll(async () => {
  await store[Symbol.asyncDispose]();
});

test("a low task of a flow that is full of urgent ones starts when its patience ends, and not long before", {
  timeout: 600_000,
}, async () => {
  const runMs = 10_000;
  await using scenario = await startScenario({ runMs });
  const { world } = scenario;
  await scenario.submit(Priority.URGENT, 3 * slots);
  const submittedAt = world.clock.monotonic();
  await scenario.submit(Priority.LOW, 1);
  const low = scenario.newest();
  const startOfLow = () => world.ledger.executions.find(({ seq }) => seq === low)?.startedAt;
  while (startOfLow() === undefined && world.clock.monotonic() < submittedAt + 2 * patienceOfLowMs) {
    await scenario.submit(Priority.URGENT, slots);
    await world.clock.advance(runMs);
  }
  const waitedMs = (startOfLow() ?? Number.POSITIVE_INFINITY) - submittedAt;
  // What was submitted within its patience goes first: the backlog of then, three runs deep.
  expect(waitedMs).toBeGreaterThan(patienceOfLowMs - runMs);
  expect(waitedMs).toBeLessThan(patienceOfLowMs + 5 * runMs);
  expect(scenario.violations()).toEqual([]);
});

test("tasks of all priorities go by urgency, whatever else waits", { timeout: 600_000 }, async () => {
  await using scenario = await startScenario({ runMs: 1_000 });
  const { world } = scenario;
  const dice = world.dice.fork("priorities");
  for (let round = 0; round < 60; round++) {
    const priority = dice.pick([Priority.URGENT, Priority.HIGH, Priority.NORMAL, Priority.LOW]);
    await scenario.submit(priority, dice.between(1, 12));
    await world.clock.advance(dice.between(100, 1_500));
  }
  await world.clock.runUntil(() => scenario.isEverythingStarted(), { withinMs: 300_000 });
  expect(scenario.violations()).toEqual([]);
});

/** One scheduler, one agent, and a function whose tasks take `runMs`. */
async function startScenario({ runMs }: { readonly runMs: number }) {
  const size = { schedulers: 1, agents: 1, apiServers: 1 };
  const world = new World({ seed: 1, openStore: await store.reset(), ...size });
  await world.start([account], { shape: [""] });
  const name = await createFunction(world, { account, settings: { instancesMax: slots } });
  const { tasks } = world.client("client", account);
  const payload = encodeBehaviour({ steps: [{ kind: "ok", ms: runMs }], termMs: 0 });
  await world.clock.advance(5_000);
  const inserted = () => world.server.events.filter((event) => event.kind === "inserted");
  return {
    world,
    async submit(priority: Priority, count: number) {
      const draft = {
        function: name,
        taskId: "",
        payload,
        priority,
        delayMs: 0,
        expiresAfterMs: 0,
        submissionToken: "",
        tags: [],
      };
      let isAnswered = false;
      const call = tasks.submitTasks({ tasks: new Array(count).fill(draft) }, { signal: new AbortController().signal });
      const answered = call.finally(() => {
        isAnswered = true;
      });
      await Promise.all([answered, world.clock.runUntil(() => isAnswered, { withinMs: 5_000 })]);
    },
    newest: () => inserted().at(-1)?.seq,
    isEverythingStarted: () => world.ledger.executions.length === inserted().length,
    /** Of order, and of nothing else. */
    violations: () =>
      check({
        ...emptyHistory(),
        store: world.server.events,
        agents: world.agentEvents,
        calm: [{ from: 0, until: world.clock.monotonic() }],
      }),
    [Symbol.asyncDispose]: () => world.end(),
  };
}
