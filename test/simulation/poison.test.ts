// Tasks that kill the agents that run them, in a cluster that is large enough for flows to have shards.
import { setMaxListeners } from "node:events";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createFunction } from "./functions.ts";
import { encodeBehaviour } from "./model/behaviour.ts";
import { openStoreOfRuns, type StoreOfRuns } from "./simulate.ts";
import { World } from "./world.ts";

const poisoners = "red";
const others = "blue";
/** The start of a shard of twelve agents. */
const shardSize = 4;
let store: StoreOfRuns;

beforeAll(async () => {
  setMaxListeners(0);
  store = await openStoreOfRuns();
});
afterAll(async () => {
  await store[Symbol.asyncDispose]();
});

async function startWorld() {
  const world = new World({ seed: 11, openStore: await store.reset(), agents: 12, schedulers: 2 });
  await world.start([poisoners, others]);
  await world.clock.advance(3_000);
  const poisonous = new Set<number>();
  return {
    world,
    async submit(account: string, count: number, ms: number): Promise<void> {
      const name = await createFunction(world, { account });
      const { tasks } = world.client("client", account);
      const payload = encodeBehaviour({ steps: [{ kind: "ok", ms }], termMs: 0 });
      const draft = {
        function: name,
        taskId: "",
        payload,
        priority: 2,
        delayMs: 0,
        expiresAfterMs: 0,
        submissionToken: "",
      };
      let isAnswered = false;
      const call = tasks.submitTasks(
        { tasks: new Array(count).fill({ ...draft, tags: [] }) },
        { signal: new AbortController().signal },
      );
      const answered = call.finally(() => {
        isAnswered = true;
      });
      await Promise.all([answered, world.clock.runUntil(() => isAnswered, { withinMs: 5_000 })]);
      if (account !== poisoners) return;
      for (const event of world.server.events) {
        if (event.kind === "inserted" && event.account === poisoners) poisonous.add(event.seq);
      }
    },
    poisonous,
    /** Runs until it is so, and kills whatever agent begins one of the tasks. */
    async killUntil(isTrue: () => boolean): Promise<Set<string>> {
      const victims = new Set<string>();
      let seen = 0;
      const until = world.clock.monotonic() + 600_000;
      while (!isTrue() && world.clock.monotonic() < until) {
        await world.clock.advance(100);
        for (const { seq, agentId } of world.ledger.executions.slice(seen)) {
          if (!poisonous.has(seq)) continue;
          victims.add(agentId);
          world.agent(agentId).crash();
        }
        seen = world.ledger.executions.length;
      }
      return victims;
    },
    endsOf: (seqs: (seq: number) => boolean) =>
      world.server.events.flatMap((event) =>
        event.kind === "written" && event.applied && event.write.kind === "settle" && seqs(event.write.seq)
          ? [event.write.status]
          : [],
      ),
    async [Symbol.asyncDispose]() {
      await world.end();
    },
  };
}

test("tasks that kill their agents reach no more of them than their flow's shard has, and all other work goes on", async () => {
  await using scenario = await startWorld();
  const { submit, killUntil, endsOf, poisonous } = scenario;
  await submit(poisoners, 20, 60_000);
  await submit(others, 60, 500);
  const victims = await killUntil(() => endsOf((seq) => poisonous.has(seq)).length === 20);

  expect(endsOf((seq) => poisonous.has(seq))).toEqual(new Array(20).fill("Failed"));
  expect(victims.size).toBeLessThanOrEqual(shardSize);
  expect(endsOf((seq) => !poisonous.has(seq))).toEqual(new Array(60).fill("Succeeded"));
});
