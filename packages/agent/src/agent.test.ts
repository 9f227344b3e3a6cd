import { FakeClock } from "@sluice/core/testing";
import { OutcomeKind, RefusalReason } from "@sluice/protocol";
import { expect, test } from "vitest";
import { FakeGateway } from "./fake-gateway.ts";
import { createMemoryJournal } from "./journal.ts";
import { aSuccess, FakePool, Owner, refOf, startWorld } from "./testing.ts";

const kinds = (owner: Owner) => owner.endedAttempts.map(({ outcome }) => outcome?.kind);

test("of what was not confirmed when the agent was killed, the ended keep their outcomes and the others are lost", async () => {
  const journal = createMemoryJournal();
  const clock = new FakeClock();
  const gateway = new FakeGateway(clock);
  await using killed = await startWorld({ journal, clock, gateway, seed: 1 });
  const before = new Owner(killed);
  await before.attach();
  await before.dispatch({ seq: 1 }, { seq: 2 }, { seq: 3 }, { seq: 4 });
  // The fourth still waits for an instance.
  for (const seq of [1, 2, 3]) killed.pool.flight(seq).invocation.onStarted("instance");
  killed.pool.flight(2).end(aSuccess());
  killed.pool.flight(3).end(aSuccess());
  await clock.settle();
  await before.confirm(3);

  await using world = await startWorld({ journal, clock, gateway, seed: 2 });
  expect(world.agent.incarnation).toBe(2);
  const owner = new Owner(world, { epoch: 2 });
  const inventory = (await owner.attach())?.inventory ?? [];
  expect(inventory.map(({ ref, outcome }) => [ref?.seq, outcome?.kind, outcome?.errorType])).toEqual([
    [1, OutcomeKind.LOST, "AgentLost"],
    [2, OutcomeKind.SUCCEEDED, ""],
  ]);
  await owner.dispatch({ seq: 1 });
  expect(kinds(owner)).toEqual([OutcomeKind.LOST]);
  expect(world.pool.flights).toEqual([]);
  await owner.dispatch({ seq: 1, attempt: 2 });
  world.pool.flight(1).invocation.onStarted("instance");
  expect(world.pool.flights).toHaveLength(1);
  await owner.confirm(1, 2);
  expect(journal.recover().map(({ ref }) => ref)).toEqual([{ ...refOf(1), attempt: 2 }]);
});

test("a draining agent refuses new work, lets the old end, sees it confirmed, and leaves", async () => {
  await using world = await startWorld({ config: { drainMs: 30_000 } });
  const owner = new Owner(world);
  await owner.attach();
  await owner.dispatch({ seq: 1 });
  world.stop();
  await world.clock.advance(200);
  expect(owner.of<{ draining: boolean }>("status").at(-1)?.draining).toBe(true);
  await owner.dispatch({ seq: 2 });
  expect(owner.refusedAttempts.map(({ reason }) => reason)).toEqual([RefusalReason.DRAINING]);
  await world.clock.advance(20_000);
  expect(world.pool.flight(1).signal.aborted).toBe(false);
  world.pool.flight(1).end(aSuccess());
  await world.clock.advance(100);
  expect(kinds(owner)).toEqual([OutcomeKind.SUCCEEDED]);
  expect(world.gateway.deregistered).toBe(0);
  await owner.confirm(1);
  await world.clock.advance(100);
  expect(world.gateway.deregistered).toBe(1);
  expect(world.pool.disposeCount).toBe(1);
  expect(world.ended()).toEqual({ cause: undefined });
  expect(owner.ended).toEqual({ cause: undefined });
});

test("what still runs when the drain is over is stopped and handed back without counting", async () => {
  await using world = await startWorld({ config: { drainMs: 5_000 } });
  const owner = new Owner(world);
  await owner.attach();
  await owner.dispatch({ seq: 1 });
  world.stop();
  await world.clock.advance(4_900);
  expect(kinds(owner)).toEqual([]);
  await world.clock.advance(200);
  expect(kinds(owner)).toEqual([OutcomeKind.FLOW_CONTROL]);
  await owner.confirm(1);
  await world.clock.advance(200);
  expect(world.ended()).toEqual({ cause: undefined });
});

test("what does not obey at the end of the drain is killed and handed back, too", async () => {
  const pool = new FakePool();
  pool.obeys = false;
  await using world = await startWorld({ config: { drainMs: 1_000 }, pool });
  const owner = new Owner(world);
  await owner.attach();
  await owner.dispatch({ seq: 1 });
  world.stop();
  await world.clock.advance(7_000);
  expect(pool.killCount).toBe(1);
  expect(kinds(owner)).toEqual([OutcomeKind.FLOW_CONTROL]);
});

test("a task that its owner stops during the drain is stopped, not lost", async () => {
  await using world = await startWorld({ config: { drainMs: 1_000 } });
  const owner = new Owner(world);
  await owner.attach();
  await owner.dispatch({ seq: 1 });
  world.pool.obeys = false;
  await owner.stop(1);
  world.stop();
  await world.clock.advance(1_500);
  world.pool.flight(1).end({ kind: "stopped" });
  await world.clock.settle();
  expect(kinds(owner)).toEqual([OutcomeKind.STOPPED]);
});

test("an agent waits for confirmations, but not for ever", async () => {
  await using world = await startWorld({ config: { confirmWaitMs: 3_000 } });
  const owner = new Owner(world);
  await owner.attach();
  await owner.dispatch({ seq: 1 });
  world.pool.flight(1).end(aSuccess());
  world.stop();
  await world.clock.advance(2_900);
  expect(world.ended()).toBeUndefined();
  await world.clock.advance(300);
  expect(world.gateway.deregistered).toBe(1);
  expect(world.ended()).toEqual({ cause: undefined });
});

test("an owner that attaches during the drain still gets the inventory", async () => {
  await using world = await startWorld();
  const owner = new Owner(world, { epoch: 1 });
  await owner.attach();
  await owner.dispatch({ seq: 1 });
  world.stop();
  await world.clock.advance(100);
  const successor = new Owner(world, { epoch: 2 });
  const attached = await successor.attach();
  expect(attached?.inventory.map(({ ref }) => ref?.seq)).toEqual([1]);
  expect(attached?.status?.draining).toBe(true);
});

test("a draining agent that loses its lifeline is fenced all the same", async () => {
  await using world = await startWorld({ config: { drainMs: 60_000 } });
  const owner = new Owner(world);
  await owner.attach();
  await owner.dispatch({ seq: 1 });
  world.gateway.answer = "fails";
  world.stop();
  await world.clock.advance(20_000);
  expect(world.pool.killCount).toBe(1);
  expect(world.ended()?.cause).toMatchObject({ reason: "AGENT_FENCED" });
  expect(world.gateway.deregistered).toBe(0);
});

test("an agent that is stopped before it was registered just ends", async () => {
  const clock = new FakeClock();
  const gateway = new FakeGateway(clock);
  gateway.registers = "fails";
  await using world = await startWorld({ clock, gateway });
  world.stop();
  await clock.advance(100);
  expect(world.ended()).toEqual({ cause: undefined });
});

test("an agent runs once", async () => {
  await using world = await startWorld();
  await expect(world.agent.run(new AbortController().signal)).rejects.toThrow("a new incarnation is a new agent");
});

test("ended attempts are counted by outcome in the metrics, and a second incarnation goes on counting", async () => {
  const { Registry } = await import("prom-client");
  const registry = new Registry();
  for (const seed of [1, 2]) {
    await using world = await startWorld({ registry, seed });
    const owner = new Owner(world);
    await owner.attach();
    await owner.dispatch({ seq: 1 });
    world.pool.flight(1).end(aSuccess());
    await world.clock.settle();
  }
  expect(await registry.getSingleMetricAsString("sluice_agent_attempts_total")).toContain('{outcome="succeeded"} 2');
});
