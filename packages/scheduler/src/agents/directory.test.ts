import { agentKey } from "@sluice/coordination";
import { createMemoryCoordinator } from "@sluice/coordination/memory";
import { AppError } from "@sluice/core";
import { FakeClock, seededRandom } from "@sluice/core/testing";
import { createMemorySignals } from "@sluice/queue/memory";
import { silentLogger } from "@sluice/runtime";
import type { AgentRecord, Store } from "@sluice/store";
import { expect, test } from "vitest";
import { createAgentDirectory } from "./directory.ts";
import type { PartitionPort } from "./link.ts";

const record = (agentId: string): AgentRecord => ({
  agentId,
  incarnation: 1,
  address: `${agentId}:1`,
  slots: 4,
  version: "1",
  renewedAt: 0,
  fenced: false,
});

/** Agents that never answer, in a store that writes down what it is asked to do. */
async function startDirectory(
  agentIds: readonly string[],
  answering: readonly string[] = [],
  /** Between two signs of life of an agent. */
  everyMs: Readonly<Record<string, number>> = {},
) {
  const clock = new FakeClock();
  const coordinator = createMemoryCoordinator({ clock });
  const lease = await coordinator.grant(3_600_000);
  const steps: string[] = [];
  const listed = new Map(agentIds.map((agentId) => [agentId, record(agentId)]));
  for (const agentId of agentIds) {
    await coordinator.commit([], [{ op: "put", key: agentKey(agentId), value: "1", lease }]);
  }
  let listable = Promise.resolve();
  const agents = {
    async list() {
      await listable;
      return [...listed.values()];
    },
    async fence({ agentId }: { agentId: string }) {
      const key = await coordinator.get(agentKey(agentId));
      steps.push(`fence ${agentId} ${key ? "with" : "without"} its key`);
      listed.set(agentId, { ...record(agentId), fenced: true });
      return true;
    },
    async markDead({ agentId }: { agentId: string }, silentMs: number) {
      steps.push(`mark ${agentId} dead after ${silentMs}`);
      return listed.delete(agentId);
    },
  };
  const directory = createAgentDirectory({
    clock,
    random: seededRandom(1),
    log: silentLogger,
    store: { agents } as unknown as Store,
    coordinator,
    signals: createMemorySignals(),
    schedulerId: "s1",
    agentsEveryMs: 2_000,
    fenceAfterMs: 15_000,
    deadAfterMs: 25_000,
    onFenced: () => undefined,
    connect(address) {
      const answers = answering.find((agentId) => address.startsWith(agentId));
      if (answers === undefined) throw new AppError("unavailable", "DOWN", "down");
      return { api: { attach: alive(clock, everyMs[answers]) }, close: () => undefined };
    },
  });
  const stop = new AbortController();
  const done = directory.run(stop.signal);
  return {
    clock,
    directory,
    steps,
    listed,
    hasKey: async (agentId: string) => (await coordinator.get(agentKey(agentId))) !== undefined,
    /** From now on lists are answered when the result is called. */
    holdList() {
      let answer = () => {};
      listable = new Promise((resolve) => {
        answer = resolve;
      });
      return () => answer();
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await done;
    },
  };
}

/** An agent that says every second that it is there. */
function alive(clock: FakeClock, everyMs = 1_000) {
  return async function* (_input: unknown, { signal }: { signal: AbortSignal }) {
    while (!signal.aborted) {
      await clock.sleep(everyMs, signal);
      const room = {
        slots: 4,
        instancesMax: 4,
        slotsUsed: 0,
        slotsOffered: undefined,
        memoryMaxMb: 0,
        preemptible: [],
      };
      const value = { ...room, warmRevisions: [], draining: false };
      yield { frame: { $case: "status" as const, value } };
    }
  };
}

const deafPort = (onAgentDead: (agentId: string) => void): PartitionPort => ({
  owner: { queue: "q0", prefix: "", epoch: 1 },
  now: () => 1_700_000_000_000,
  onAttached: () => undefined,
  onEnded: () => undefined,
  onStarted: () => undefined,
  onRefused: () => undefined,
  onStale: () => undefined,
  onRoom: () => undefined,
  onAgentDead,
});

test("an agent that does not answer loses its key first, is fenced then, and is dead at the end", async () => {
  await using world = await startDirectory(["a", "b", "c"], ["a", "b"]);
  const dead: string[] = [];
  await world.clock.advance(10);
  await world.directory.attach(
    deafPort((agentId) => dead.push(agentId)),
    new Set(),
  );
  await world.clock.advance(14_000);
  expect(world.steps).toEqual([]);
  await world.clock.advance(10_000);
  expect(world.steps).toEqual(["fence c without its key", "mark c dead after 25000"]);
  expect(dead).toEqual(["c"]);
});

test("an agent that another scheduler has fenced gets nothing new, although it answers", async () => {
  await using world = await startDirectory(["a", "b"], ["a", "b"]);
  await world.clock.advance(2_500);
  const freeOf = (agentId: string) => world.directory.links.find((link) => link.agentId === agentId)?.free;
  expect([freeOf("a"), freeOf("b")]).toEqual([4, 4]);
  world.listed.set("a", { ...record("a"), fenced: true });
  await world.clock.advance(2_500);
  expect([freeOf("a"), freeOf("b")]).toEqual([0, 4]);
  world.listed.set("a", { ...record("a"), incarnation: 2 });
  await world.clock.advance(2_500);
  expect([freeOf("a"), freeOf("b")]).toEqual([4, 4]);
});

test("whoever reaches less than half of the agents fences nobody", async () => {
  await using world = await startDirectory(["a", "b", "c"], ["a"]);
  await world.clock.advance(60_000);
  expect(world.steps).toEqual([]);
  expect(world.directory.isCutOff).toBe(true);
});

test("whoever has stood still fences nobody for a silence that it has slept through", async () => {
  await using world = await startDirectory(["a", "b", "c"], ["a", "b", "c"], { c: 4_000 });
  await world.clock.advance(5_000);
  world.clock.freeze();
  await world.clock.advance(20_000);
  world.clock.thaw();
  // a and b are heard again before c is.
  await world.clock.advance(60_000);
  expect(world.steps).toEqual([]);
});

test("nor does it for a list of agents that it is handed before its timers", async () => {
  await using world = await startDirectory(["a", "b", "c"], ["a", "b", "c"], { c: 4_000 });
  await world.clock.advance(5_000);
  const answer = world.holdList();
  await world.clock.advance(2_000);
  world.clock.freeze();
  await world.clock.advance(20_000);
  // What the kernel has kept is read before timers that are due; a and b are heard with it, c is not.
  for (const link of world.directory.links) if (link.agentId !== "c") link.lastHeardAt = world.clock.monotonic();
  answer();
  await world.clock.settle();
  expect(await world.hasKey("c")).toBe(true);
  world.clock.thaw();
  await world.clock.advance(60_000);
  expect([await world.hasKey("c"), world.steps]).toEqual([true, []]);
});

test("an agent that is silent after others stood still is fenced in its time", async () => {
  await using world = await startDirectory(["a", "b", "c"], ["a", "b"]);
  world.clock.freeze();
  await world.clock.advance(20_000);
  world.clock.thaw();
  await world.clock.advance(14_000);
  expect(world.steps).toEqual([]);
  await world.clock.advance(4_000);
  expect(world.steps[0]).toBe("fence c without its key");
});

test("a new partition waits for every agent that existed when it came", async () => {
  await using world = await startDirectory(["a", "b"]);
  await world.clock.advance(10);
  const unanswered = new Set<string>();
  await world.directory.attach(
    deafPort(() => undefined),
    unanswered,
  );
  expect([...unanswered]).toEqual(["a", "b"]);
});
