// A function that may run once at a time does, whoever owns its lane, and while owners are killed; and what is reserved for one
// is left to it.
import { isFinal, type Task } from "@sluice/client";
import { eventually } from "@sluice/core/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { deployWork, type Execution, ledgerNow } from "./ledger.ts";
import { openWorld, type World } from "./world.ts";

const name = "single";
const count = 60;
let world: World;
beforeAll(async () => {
  world = await openWorld({ apiServers: 1, schedulers: 2, agents: 2 });
  await deployWork(world.client, world.ledger, { name, concurrencyMax: 1 });
});
afterAll(() => world[Symbol.asyncDispose]());

test("one at a time, also while each scheduler is killed in turn, and every task runs once", { retry: 0 }, async () => {
  const { client, ledger } = world;
  const tasks = Array.from({ length: count }, (_, n) => ({ function: name, taskId: `t${n}`, payload: "40" }));
  for await (const result of client.submitMany(tasks)) expect(result.ok).toBe(true);
  for (const [nth, scheduler] of ["scheduler-0", "scheduler-1"].entries()) {
    await eventually(() => ledger.executions().length > 5 + 15 * nth, { timeoutMs: 60_000 });
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

test("what is reserved for a function is free for it, while another one of its account has more than the rest", {
  retry: 0,
}, async () => {
  const { client, ledger } = world;
  await deployWork(client, ledger, { name: "kept", concurrencyReserved: 2 });
  await client.cluster.updateAccount("default", { concurrencyMax: 4 });
  // A scheduler that was told nothing goes by what it knew for 12 s.
  const knownAt = ledgerNow() + 12_500;
  await eventually(() => ledgerNow() > knownAt, { timeoutMs: 60_000, everyMs: 200 });
  const runsOf = (prefix: string) => ledger.executions().filter(({ taskId }) => taskId.startsWith(prefix));
  const submit = async (name: string, prefix: string, { count, ms }: { count: number; ms: number }) => {
    const tasks = Array.from({ length: count }, (_, n) => ({
      ...{ function: name, taskId: `${prefix}${n}`, payload: `${ms}` },
    }));
    for await (const result of client.submitMany(tasks)) expect(result.ok).toBe(true);
  };
  await submit("work", "greedy", { count: 24, ms: 800 });
  // An account that is newly limited waits until nobody can send by what was before.
  await eventually(() => runsOf("greedy").length > 2, { timeoutMs: 60_000 });
  await submit("kept", "kept", { count: 2, ms: 100 });
  const all = () => [...runsOf("greedy"), ...runsOf("kept")];
  await eventually(() => all().filter(({ hasEnded }) => hasEnded).length === 26, { timeoutMs: 60_000 });
  expect(most(runsOf("greedy"))).toBe(2);
  expect(most(all())).toBeLessThanOrEqual(4);
  const lastGreedyAt = Math.max(...runsOf("greedy").map(({ startedAt }) => startedAt));
  for (const { startedAt } of runsOf("kept")) expect(startedAt).toBeLessThan(lastGreedyAt);
});

/** The most that ran at the same time. */
function most(runs: readonly Execution[]): number {
  const at = (time: number) => runs.filter(({ startedAt, seenAt }) => startedAt <= time && time < seenAt).length;
  return Math.max(...runs.map(({ startedAt }) => at(startedAt)));
}
