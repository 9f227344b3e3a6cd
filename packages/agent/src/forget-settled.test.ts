import { expect, test } from "vitest";
import { aSuccess, Owner, startWorld } from "./testing.ts";

test("what ended and nobody confirms is forgotten once the store has it, and only then", async () => {
  await using world = await startWorld();
  const owner = new Owner(world, { epoch: 1 });
  await owner.attach();
  await owner.dispatch({ seq: 1 }, { seq: 2 }, { seq: 3 });
  world.pool.flight(1).end(aSuccess());
  world.pool.flight(2).end(aSuccess());
  await world.clock.settle();
  await owner.breakOff();

  world.gateway.settled.add(1).add(3);
  await world.clock.advance(60_000);
  // The second has ended here and not in the store; the third runs, whatever the store says.
  expect(world.agent.unconfirmedCount).toBe(2);

  world.gateway.settled.add(2);
  await world.clock.advance(20_000);
  expect(world.agent.unconfirmedCount).toBe(1);
  expect(world.agent.runningCount).toBe(1);
});

test("it is remembered by its number: a repeat of its dispatch does not run it again", async () => {
  await using world = await startWorld();
  const owner = new Owner(world, { epoch: 1 });
  await owner.attach();
  await owner.dispatch({ seq: 1 });
  world.pool.flight(1).end(aSuccess());
  world.gateway.settled.add(1);
  await world.clock.advance(60_000);
  expect(world.agent.unconfirmedCount).toBe(0);
  await owner.dispatch({ seq: 1 });
  expect(world.pool.flights).toHaveLength(1);
});

test("an owner that is a little late confirms it itself; a gateway that does not know the call stops nothing", async () => {
  await using world = await startWorld();
  world.gateway.settles = "fails";
  world.gateway.settled.add(1);
  const owner = new Owner(world, { epoch: 1 });
  await owner.attach();
  await owner.dispatch({ seq: 1 });
  world.pool.flight(1).end(aSuccess());
  await world.clock.advance(90_000);
  expect(world.agent.unconfirmedCount).toBe(1);
  await owner.confirm(1);
  expect(world.agent.unconfirmedCount).toBe(0);
  expect(world.ended()).toBeUndefined();
});
