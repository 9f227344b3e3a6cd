import { OutcomeKind, RoomState } from "@sluice/protocol";
import { expect, test } from "vitest";
import { aSpec, FakePool, Owner, startWorld, type World } from "./testing.ts";

/** Four slots, filled by an owner with attempts that may be stopped, and another owner. */
async function startFull() {
  const world = await startWorld({ config: { slots: 4 } });
  const low = new Owner(world, { prefix: "0" });
  const urgent = new Owner(world, { prefix: "1" });
  await low.attach();
  await urgent.attach();
  await low.dispatch(...[1, 2, 3, 4].map((seq) => ({ seq, priority: 3, preemptible: true })));
  return { world, low, urgent };
}

async function ask(world: World, owner: Owner, question: number, overrides = {}): Promise<void> {
  const { incarnation } = world.agent;
  const flow = { accountId: "main", functionName: "echo", priority: 0, memoryMb: 128 };
  const value = { session: 1, incarnation, question, queue: "q", lane: 16, epoch: 1, ...flow, ...overrides };
  await owner.send({ $case: "makeRoom", value });
  await world.clock.settle();
}

const answersTo = (owner: Owner) =>
  owner.of<{ question: number; state: RoomState }>("roomAnswer").map(({ question, state }) => [question, state]);
const told = (owner: Owner) => owner.of<{ preemptible: number[] }>("status").at(-1)?.preemptible;

test("what is stopped is reported to its owner, and the slot is told to who asked and kept for it", async () => {
  const { world, low, urgent } = await startFull();
  await using _ = world;
  await world.clock.advance(200);
  expect(told(urgent)).toEqual([0, 0, 0, 4]);
  await ask(world, urgent, 7);
  expect(low.endedAttempts).toMatchObject([{ ref: { seq: 4 }, outcome: { kind: OutcomeKind.STOPPED } }]);
  expect(answersTo(urgent)).toEqual([
    [7, RoomState.STOPPING],
    [7, RoomState.KEPT],
  ]);
  await low.dispatch({ seq: 5 });
  await urgent.dispatch({ seq: 6, lane: 16, priority: 0 });
  expect(world.pool.flights.map(({ invocation }) => invocation.taskId)).toEqual(
    [1, 2, 3, 4, 6].map((seq) => `task-${seq}`),
  );
});

test("an account that has as much there as the others is told that its share is the reason, and nothing is stopped", async () => {
  await using world = await startWorld({ config: { slots: 2 } });
  const owner = new Owner(world);
  await owner.attach();
  await owner.dispatch({ seq: 1, priority: 3, preemptible: true });
  const functions = [aSpec({ revision: 2, accountId: "busy" })];
  const frame = { session: 1, incarnation: world.agent.incarnation, functions, attempts: [], nowMs: 0 };
  await owner.send({ $case: "dispatch", value: frame });
  await owner.dispatch({ seq: 2, functionRevision: 2, priority: 0 });
  await ask(world, owner, 1, { accountId: "busy" });
  expect(answersTo(owner)).toEqual([[1, RoomState.SHARE]]);
  expect(owner.endedAttempts).toEqual([]);
});

test("the slot is told only when the attempt has ended", async () => {
  const { world, urgent } = await startFull();
  await using _ = world;
  world.pool.obeys = false;
  await ask(world, urgent, 1);
  await world.clock.advance(2_900);
  expect(answersTo(urgent)).toEqual([[1, RoomState.STOPPING]]);
  world.pool.flight(4).end({ kind: "stopped" });
  await world.clock.settle();
  expect(answersTo(urgent).at(-1)).toEqual([1, RoomState.KEPT]);
});

test("a slot that is not taken within two seconds is anybody's", async () => {
  const { world, low, urgent } = await startFull();
  await using _ = world;
  await ask(world, urgent, 1);
  await world.clock.advance(1_900);
  await low.dispatch({ seq: 5 });
  expect(low.refusedAttempts).toHaveLength(1);
  await world.clock.advance(200);
  await low.dispatch({ seq: 6 });
  expect(low.refusedAttempts).toHaveLength(1);
});

test("an owner that asks without end stops one attempt in 50 ms at most, and nothing while its rooms are unused", async () => {
  const { world, low, urgent } = await startFull();
  await using _ = world;
  for (let question = 1; question <= 20; question++) {
    await ask(world, urgent, question);
    await world.clock.advance(10);
  }
  expect(low.endedAttempts).toHaveLength(1);
  await urgent.dispatch({ seq: 10, lane: 16, priority: 0 });
  for (let question = 21; question <= 30; question++) await ask(world, urgent, question);
  expect(low.endedAttempts).toHaveLength(2);
});

test("a host that is short of memory stops nothing, and tells so", async () => {
  let isShort = false;
  await using world = await startWorld({ config: { slots: 1 }, isShortOfMemory: () => isShort });
  const owner = new Owner(world);
  await owner.attach();
  await owner.dispatch({ seq: 1, priority: 3, preemptible: true });
  isShort = true;
  await ask(world, owner, 1);
  expect(answersTo(owner)).toEqual([[1, RoomState.NONE]]);
  await owner.send({ $case: "ping", value: { session: 1 } });
  expect(told(owner)).toEqual([]);
});

test("an urgent attempt that waits for an instance has what the leaving one runs stopped, if it runs nothing else", async () => {
  const pool = new FakePool();
  let leaving: readonly string[] = [];
  Object.assign(pool, { leavingInstances: () => leaving });
  await using world = await startWorld({ config: { slots: 10 }, pool });
  const owner = new Owner(world);
  await owner.attach();
  await owner.dispatch(...[1, 2, 3, 4].map((seq) => ({ seq, priority: 3, preemptible: true })));
  for (const [seq, instance] of ["i-1", "i-2", "i-3", "i-3"].entries())
    pool.flight(seq + 1).invocation.onStarted(instance);
  await owner.dispatch({ seq: 5, priority: 1 }, { seq: 6, priority: 2 });
  const stopped = () => owner.endedAttempts.map(({ ref }) => ref?.seq);
  await world.clock.advance(1_000);
  expect(stopped(), "no instance leaves").toEqual([]);
  leaving = ["i-3"];
  await world.clock.advance(1_000);
  expect(stopped(), "it runs two").toEqual([]);
  leaving = ["i-2", "i-3"];
  await world.clock.advance(200);
  expect(stopped()).toEqual([2]);
  leaving = ["i-1"];
  await world.clock.advance(5_000);
  expect(stopped(), "one for one").toEqual([2]);
});

test.each([
  ["that has its instance", { priority: 0, instance: "i-2" }],
  ["of an owner of the release before this one, which says no priority", { priority: undefined, instance: undefined }],
])("nothing is stopped for an attempt %s", async (_what, { priority, instance }) => {
  const pool = new FakePool();
  Object.assign(pool, { leavingInstances: () => ["i-1"] });
  await using world = await startWorld({ config: { slots: 10 }, pool });
  const owner = new Owner(world);
  await owner.attach();
  await owner.dispatch({ seq: 1, priority: 3, preemptible: true }, { seq: 2, priority });
  pool.flight(1).invocation.onStarted("i-1");
  if (instance) pool.flight(2).invocation.onStarted(instance);
  await world.clock.advance(5_000);
  expect(owner.endedAttempts).toEqual([]);
});
