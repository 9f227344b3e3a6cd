// A function that may run once at a time does, whoever owns its lane, and while owners are killed.
import { isFinal, type Task } from "@sluice/client";
import { eventually } from "@sluice/core/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { deployWork } from "./ledger.ts";
import { openWorld, type World } from "./world.ts";

const name = "single";
const count = 60;
let world: World;
beforeAll(async () => {
  world = await openWorld({ apiServers: 1, schedulers: 2, agents: 2 });
  await deployWork(world.client, world.ledger, { name, concurrencyMax: 1 });
});
afterAll(() => world[Symbol.asyncDispose]());

test("one at a time, also while each scheduler is killed in turn, and every task runs once", async () => {
  const { client, ledger } = world;
  const tasks = Array.from({ length: count }, (_, n) => ({ function: name, taskId: `t${n}`, payload: "40" }));
  for await (const result of client.submitMany(tasks)) expect(result.ok).toBe(true);
  for (const [nth, scheduler] of ["scheduler-0", "scheduler-1"].entries()) {
    await eventually(() => ledger.executions().length > 5 + 15 * nth, { timeoutMs: 30_000 });
    await world.part(scheduler).stop("SIGKILL");
    await world.part(scheduler).start();
  }
  const ended = await eventually(
    async () => {
      const final: Task[] = [];
      for await (const task of client.list({ function: name })) if (isFinal(task)) final.push(task);
      if (final.length < count) throw new Error(`${final.length} are final`);
      return final;
    },
    { timeoutMs: 60_000, everyMs: 200 },
  );
  expect(ended.filter(({ status }) => status !== "Succeeded")).toEqual([]);
  const runs = ledger.executions().toSorted((a, b) => a.startedAt - b.startedAt);
  expect(new Set(runs.map(({ taskId }) => taskId)).size).toBe(count);
  expect(runs).toHaveLength(count);
  const overlaps = runs.filter(({ startedAt }, index) => (runs[index - 1]?.seenAt ?? 0) > startedAt);
  expect(overlaps).toEqual([]);
});
