// Scenarios of splits, merges, moves and leaves: what they cost, and that nothing is lost by them and nothing runs twice.
import { setMaxListeners } from "node:events";
import { claimsPrefix, leaderKey, moveWish, readWishes, writeWish } from "@sluice/coordination";
import { AccountId, covers, firstQueueOf, type Prefix } from "@sluice/core";
import type { SchedulerDeps } from "@sluice/scheduler";
import type { FunctionSettings } from "@sluice/store";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createFunction } from "./functions.ts";
import { encodeBehaviour } from "./model/behaviour.ts";
import { openStoreOfRuns, type StoreOfRuns } from "./simulate.ts";
import { queues, World } from "./world.ts";

/** Nobody dispatches from a partition that moves for less than this; a message takes 1 to 4 ms, and a call two of them. */
const gapMaxMs = 300;
/** Soon, where a partition is hot. */
const splitting = { hotForMs: 3_000, backlogAgeMaxMs: 2_000, restMs: 5_000 };
const never = { signal: new AbortController().signal };
let store: StoreOfRuns;

beforeAll(async () => {
  setMaxListeners(0);
  store = await openStoreOfRuns();
});
afterAll(async () => {
  await store[Symbol.asyncDispose]();
});

test("a partition that is split while tasks run dispatches from both halves, with a short gap", async () => {
  await using scenario = await startScenario();
  const { world, operator, queue } = scenario;
  await scenario.submit(900);
  await scenario.untilDispatched(200);
  const splitAt = world.clock.monotonic();
  await scenario.done(operator.splitPartition({ queue, prefix: "" }, never));
  await world.clock.runUntil(async () => (await scenario.owners()).length === 3, { withinMs: 2_000 });
  const owners = await scenario.ownersOf(queue);
  await scenario.untilSettled();
  for (const half of ["0", "1"]) expect(scenario.dispatchedBy(half)).toEqual([owners.get(half)]);
  expect(owners.get("0")).not.toBe(owners.get("1"));
  expect(scenario.gapOf("", splitAt)).toBeLessThan(gapMaxMs);
  scenario.expectEachRanOnce();
});

test("halves that are merged while tasks run are one partition again, with a short gap", async () => {
  await using scenario = await startScenario({ shape: ["0", "1"] });
  const { world, operator, queue } = scenario;
  await scenario.submit(900);
  await scenario.untilDispatched(200);
  const mergedAt = world.clock.monotonic();
  await scenario.done(operator.mergePartition({ queue, prefix: "" }, never));
  await world.clock.runUntil(async () => (await scenario.ownersOf(queue)).has(""), { withinMs: 2_000 });
  await scenario.untilSettled();
  expect(scenario.gapOf("", mergedAt)).toBeLessThan(gapMaxMs);
  scenario.expectEachRanOnce();
});

test("a partition that is moved is adopted with what runs, and stays, also under another leader", async () => {
  await using scenario = await startScenario({ ms: 3_000 });
  const { world, operator, queue } = scenario;
  await scenario.submit(40);
  await world.clock.runUntil(() => world.ledger.runningCount === slots, { withinMs: 5_000 });
  const from = (await scenario.ownersOf(queue)).get("");
  const leader = await scenario.leader();
  const to = scenario.schedulers.find((id) => id !== from && id !== leader) ?? "";
  await scenario.done(operator.movePartition({ queue, prefix: "", to }, never));
  const isMoved = async () => (await scenario.ownersOf(queue)).get("") === to;
  await world.clock.runUntil(isMoved, { withinMs: 2_000 });
  expect(world.ledger.runningCount).toBe(slots);
  world.scheduler(hostOf(leader)).crash();
  await scenario.untilSettled();
  await world.clock.advance(40_000);
  expect(await isMoved()).toBe(true);
  expect(await scenario.leader()).not.toBe(leader);
  scenario.expectEachRanOnce();
});

test("a leader that leaves wishes its partitions to others first: a short gap, and what runs notices nothing", async () => {
  await using scenario = await startScenario();
  const { world } = scenario;
  const leader = await scenario.leader();
  await scenario.giveEverythingTo(leader);
  await scenario.submit(900);
  await scenario.untilDispatched(200);
  const leftAt = world.clock.monotonic();
  world.scheduler(hostOf(leader)).stop();
  await scenario.untilSettled();
  expect(scenario.gapOf("", leftAt)).toBeLessThan(gapMaxMs);
  expect(await scenario.owners()).not.toContain(leader);
  await world.clock.runUntil(async () => (await scenario.leader()) !== leader, { withinMs: 1_000 });
  scenario.expectEachRanOnce();
});

test("a scheduler that leaves has given up its claims before the first of its streams to agents closes", async () => {
  await using scenario = await startScenario();
  const { world } = scenario;
  const leader = await scenario.leader();
  await scenario.giveEverythingTo(leader);
  await scenario.submit(300);
  await scenario.untilDispatched(100);
  const host = hostOf(leader);
  const streams = () => [...world.connections].filter(({ fromHost }) => fromHost === host).length;
  const before = streams();
  expect(before).toBeGreaterThan(0);
  let claimsThen: readonly string[] | undefined;
  world.scheduler(host).stop();
  await world.clock.runUntil(
    async () => {
      if (claimsThen === undefined && streams() < before) claimsThen = await scenario.owners();
      return streams() === 0;
    },
    { withinMs: 60_000 },
  );
  expect(claimsThen).not.toContain(leader);
  await scenario.untilSettled();
});

test("when all schedulers leave together they do not wait for each other", async () => {
  await using scenario = await startScenario();
  const { world } = scenario;
  for (const name of world.names.schedulers) world.scheduler(name).stop();
  await world.clock.runUntil(async () => (await scenario.owners()).length === 0, { withinMs: 150 });
});

test("a backlog that stays is shared by the rule; when it was quiet for long, the halves are merged", async () => {
  const balancer = { ...splitting, quietForMs: 8_000 };
  await using scenario = await startScenario({ balancer, ms: 200 });
  const { world, queue } = scenario;
  await scenario.submit(1_200);
  const isShared = async () => new Set((await scenario.ownersOf(queue)).values()).size > 1;
  await world.clock.runUntil(isShared, { withinMs: 8_000 });
  await scenario.untilSettled();
  await world.clock.advance(40_000);
  expect([...(await scenario.ownersOf(queue)).keys()]).toEqual([""]);
  scenario.expectEachRanOnce();
});

test.each([
  { by: "its limit", options: { settings: { rateMax: 20 } }, tasks: 1_200, runsMax: 800 },
  { by: "flow-control errors", options: { refusedEvery: 4 }, tasks: 4_000, runsMax: 3_000 },
])(
  "a backlog that is held back by $by is not split: its flow would not go faster",
  async ({ options, tasks, runsMax }) => {
    await using scenario = await startScenario({ balancer: splitting, ms: 50, ...options });
    const { world, queue } = scenario;
    await scenario.submit(tasks);
    await scenario.untilDispatched(50);
    await world.clock.advance(20_000);
    expect([...(await scenario.ownersOf(queue)).keys()]).toEqual([""]);
    expect(world.ledger.executions.length).toBeLessThan(runsMax);
  },
);

test("while an agent does not answer nothing is split: the backlog would have to wait for it", async () => {
  await using scenario = await startScenario({ balancer: splitting, ms: 400 });
  const { world, queue } = scenario;
  world.agent("a1").freeze(25_000);
  await world.clock.advance(6_000);
  await scenario.submit(900);
  await world.clock.advance(10_000);
  expect([...(await scenario.ownersOf(queue)).keys()]).toEqual([""]);
});

interface ScenarioOptions {
  readonly shape?: readonly Prefix[];
  /** Of each task; default 20. */
  readonly ms?: number;
  readonly balancer?: SchedulerDeps["balancer"];
  /** Of the function. */
  readonly settings?: Partial<FunctionSettings>;
  /** The first attempt of so many meets flow control. Default: none does. */
  readonly refusedEvery?: number;
}

const account = "red";
const agents = 4;
const slots = agents * 8;

/** Three schedulers that own what they were wished; all tasks are of one function, so of one queue. */
async function startScenario({
  shape = [""],
  ms = 20,
  balancer = {},
  settings = {},
  refusedEvery = Number.POSITIVE_INFINITY,
}: ScenarioOptions = {}) {
  const world = new World({ seed: 1, openStore: await store.reset(), agents, balancer });
  await world.start([account], { shape });
  const name = await createFunction(world, { account, settings });
  const queue = firstQueueOf(AccountId(account), queues);
  await world.clock.advance(5_000);
  const { tasks } = world.client("client", account);
  const accepted = { kind: "ok", ms } as const;
  const payload = encodeBehaviour({ steps: [accepted], termMs: 0 });
  const refused = encodeBehaviour({ steps: [{ kind: "flow", ms: 1 }, accepted], termMs: 0 });
  const draft = {
    function: name,
    taskId: "",
    delayMs: 0,
    expiresAfterMs: 0,
    submissionToken: "",
    tags: [] as string[],
    priority: 3 as const,
  };
  let submitted = 0;
  const claims = async () =>
    (await world.coordinator.list(claimsPrefix)).map(({ key, value }) => {
      const [of = "", prefix = ""] = key.slice(claimsPrefix.length).split("/");
      return { queue: of, prefix: prefix === "-" ? "" : prefix, ownerId: value };
    });
  const settled = () =>
    world.server.events.filter((event) => event.kind === "written" && event.applied && event.write.kind === "settle");

  /** Lets the time pass in which a call is answered. */
  async function done(call: Promise<unknown>): Promise<void> {
    let isAnswered = false;
    const answered = call.finally(() => {
      isAnswered = true;
    });
    await Promise.all([answered, world.clock.runUntil(() => isAnswered, { withinMs: 5_000 })]);
  }

  return {
    world,
    queue,
    done,
    operator: world.operator("operator"),
    schedulers: world.names.schedulers.map((host) => `${host}-1`),
    leader: async () => (await world.coordinator.get(leaderKey))?.value ?? "",
    /** Of every partition of every queue. */
    owners: async () => (await claims()).map(({ ownerId }) => ownerId),
    ownersOf: async (of: string): Promise<ReadonlyMap<Prefix, string>> =>
      new Map((await claims()).filter((one) => one.queue === of).map(({ prefix, ownerId }) => [prefix, ownerId])),
    async giveEverythingTo(ownerId: string) {
      const rest = { now: world.clock.now(), until: world.clock.now() + 60_000 };
      for (const wish of await readWishes(world.coordinator)) {
        const moved = moveWish(wish, { prefix: "", ownerId }, rest);
        if (moved) await writeWish(world.coordinator, moved);
      }
      await world.clock.runUntil(async () => (await claims()).every((one) => one.ownerId === ownerId));
    },
    /** In groups of 50, each of which goes to another lane. */
    async submit(count: number) {
      for (; submitted < count; submitted += 50) {
        const group = Array.from({ length: Math.min(50, count - submitted) }, (_, index) => ({
          ...draft,
          payload: (index + 1) % refusedEvery === 0 ? refused : payload,
        }));
        await done(tasks.submitTasks({ tasks: group }, never));
      }
      submitted = count;
    },
    untilDispatched: (count: number) =>
      world.clock.runUntil(() => world.ledger.executions.length >= count, { withinMs: 20_000 }),
    untilSettled: () => world.clock.runUntil(() => settled().length === submitted, { withinMs: 120_000 }),
    /** The longest time between two dispatches from these lanes, in the second from then. */
    gapOf(prefix: Prefix, from: number): number {
      const times = world.agentEvents.flatMap((event) => {
        const isMeant = event.kind === "dispatched" && event.queue === queue && covers(prefix, event.lane);
        return isMeant && event.at >= from - 20 && event.at < from + 1_000 ? [event.at] : [];
      });
      const gaps = times.map((at, index) => at - (times[index - 1] ?? at));
      expect(gaps.length).toBeGreaterThan(100);
      return Math.max(...gaps);
    },
    /** The schedulers that dispatched as owners of exactly this prefix. */
    dispatchedBy(prefix: Prefix): string[] {
      const dispatched = new Set(
        world.agentEvents.flatMap((event) => (event.kind === "dispatched" ? [event.epoch] : [])),
      );
      const owners = world.server.events.flatMap((event) => {
        if (event.kind !== "raised" || event.owner.queue !== queue || event.owner.prefix !== prefix) return [];
        return dispatched.has(event.owner.epoch) ? [event.by.replace(".", "-")] : [];
      });
      return [...new Set(owners)];
    },
    expectEachRanOnce() {
      const { executions } = world.ledger;
      expect(executions.filter(({ how, attempt }) => how !== "ok" || attempt !== 1)).toEqual([]);
      expect(new Set(executions.map(({ seq }) => seq)).size).toBe(submitted);
      expect(executions).toHaveLength(submitted);
    },
    [Symbol.asyncDispose]: () => world.end(),
  };
}

function hostOf(schedulerId: string): string {
  return schedulerId.split("-")[0] ?? "";
}
