// Pausing, stopping and deleting many tasks at once on real processes, also while their owner dies.
import { eventually } from "@sluice/core/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ledgerNow } from "./ledger.ts";
import { startLoad } from "./load.ts";
import { openWorld, unsuccessful, type World, wrongInLedger } from "./world.ts";

/** Nothing is dispatched so long after the answer; an instance takes a while to start what was. */
const promisedMs = 5_000;
const startMs = 1_000;

let world: World;
beforeAll(async () => {
  world = await openWorld({ apiServers: 1, schedulers: 2, agents: 1 });
});
afterAll(() => world[Symbol.asyncDispose]());

const started = (prefix: string) => world.ledger.executions().filter(({ taskId }) => taskId.startsWith(prefix));

test("nothing of a paused function starts five seconds after the answer, and all of it runs once it is resumed", {
  retry: 0,
  timeout: 300_000,
}, async () => {
  const { operations } = world.client;
  const load = startLoad(world.client, { prefix: "pause-", atOnce: 8, runsMs: () => 20, pauseMs: 20 });
  await eventually(() => started("pause-").length > 50, { timeoutMs: 60_000 });
  await operations.pause({ function: "work" });
  const pausedAt = ledgerNow();
  await eventually(() => ledgerNow() > pausedAt + promisedMs + startMs + 3_000, { timeoutMs: 60_000, everyMs: 200 });
  const accepted = load.accepted.length;
  await eventually(() => load.accepted.length > accepted + 20, { timeoutMs: 60_000 });
  const late = started("pause-").filter(({ startedAt }) => startedAt > pausedAt + promisedMs + startMs);
  expect(late).toEqual([]);

  await world.part("scheduler-0").stop("SIGKILL");
  await world.part("scheduler-0").start();
  await load.stop();
  expect(started("pause-").filter(({ startedAt }) => startedAt > pausedAt + promisedMs + startMs)).toEqual([]);
  expect(await operations.resume({ function: "work" })).toEqual({ resumed: true, stillHeld: undefined });
  expect(await unsuccessful(world, load.accepted, 90_000)).toEqual([]);
  expect(wrongInLedger(world, load.accepted)).toEqual([]);
});

test("a deletion goes on where its owner died, and nothing of it runs afterwards", {
  retry: 0,
  timeout: 400_000,
}, async () => {
  const { client } = world;
  await client.operations.pause({ function: "work" });
  await eventually(async () => (await client.operations.pauses()).length === 1);
  function* submissions() {
    for (let n = 0; n < 40_000; n++) yield { function: "work", taskId: `delete-${n}`, payload: "0", tags: ["old"] };
  }
  for await (const result of client.submitMany(submissions())) if (!result.ok) throw result.error;
  const kept = await client.submit({ function: "work", taskId: "kept", payload: "0" });
  const before = started("delete-").length;

  const { operationId } = await client.operations.deleteTasks({ tag: "old" });
  await eventually(async () => (await client.operations.get(operationId)).done > 0, { timeoutMs: 60_000, everyMs: 5 });
  await world.part("scheduler-0").stop("SIGKILL");
  await world.part("scheduler-1").stop("SIGKILL");
  // Otherwise nobody died during it.
  expect((await client.operations.get(operationId)).state).toBe("running");
  await world.part("scheduler-0").start();
  await world.part("scheduler-1").start();
  const ended = await eventually(
    async () => {
      const operation = await client.operations.get(operationId);
      return operation.endedAtMs === undefined ? undefined : operation;
    },
    { timeoutMs: 120_000, everyMs: 200 },
  );

  expect(ended).toMatchObject({ state: "done", failed: 0, matched: ended.done });
  await client.operations.resume({ function: "work" });
  expect((await client.wait("work", kept.taskId, { timeoutMs: 60_000 })).status).toBe("Succeeded");
  expect(started("delete-").length).toBe(before);
  const left: string[] = [];
  for await (const { taskId } of client.list({ function: "work", tag: "old" })) left.push(taskId);
  expect(left).toEqual([]);
});
