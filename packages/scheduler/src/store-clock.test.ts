import { FakeClock } from "@sluice/core/testing";
import { expect, test } from "vitest";
import { createStoreClock } from "./store-clock.ts";

/** A process whose clocks are wrong, and a store that takes `delay.ms` for each half of a round trip. */
function start() {
  const truth = new FakeClock();
  const own = truth.view({ rate: 1.02, offsetMs: 3_600_000 });
  const delay = { ms: 2, isDown: false };
  const ping = async () => {
    await truth.sleep(delay.ms);
    if (delay.isDown) throw new Error("the store is away");
    const now = truth.now();
    await truth.sleep(delay.ms);
    return now;
  };
  const storeClock = createStoreClock({ clock: own, store: { ping } });
  const stop = new AbortController();
  const running = storeClock.run(stop.signal);
  return {
    truth,
    own,
    storeClock,
    delay,
    errorMs: () => Math.abs(storeClock.clock.now() - truth.now()),
    async [Symbol.asyncDispose]() {
      stop.abort();
      await truth.advance(60_000);
      await running;
    },
  };
}

test("it tells the store's time, whatever is done to the wall clock", async () => {
  await using world = start();
  await world.truth.advance(10);
  expect(world.errorMs()).toBeLessThanOrEqual(4);
  world.own.jump(-7_200_000);
  await world.truth.advance(60_000);
  // The rate of the monotonic clock counts for as long as nobody asks.
  expect(world.errorMs()).toBeLessThanOrEqual(110);
});

test("a slow answer does not spoil what is known, and while the store is away its time goes on", async () => {
  await using world = start();
  await world.truth.advance(100);
  world.delay.ms = 3_000;
  await world.truth.advance(20_000);
  expect(world.errorMs()).toBeLessThanOrEqual(500);
  world.delay.isDown = true;
  await world.truth.advance(10_000);
  expect(world.errorMs()).toBeLessThanOrEqual(700);
});

test("nobody is told a time before it is known, and whoever waits for it is told when it is", async () => {
  await using world = start();
  world.delay.isDown = true;
  let isKnown = false;
  const { signal } = new AbortController();
  const waiting = world.storeClock.known(signal).then(() => {
    isKnown = true;
  });
  await world.truth.advance(2_000);
  expect(isKnown).toBe(false);
  expect(() => world.storeClock.clock.now()).toThrow("before it is known");
  world.delay.isDown = false;
  await world.truth.advance(600);
  await waiting;
  expect(world.errorMs()).toBeLessThanOrEqual(20);
  await world.storeClock.known(signal);
});

test("whoever waits for a store that never answers ends with its signal", async () => {
  await using world = start();
  world.delay.isDown = true;
  const stop = new AbortController();
  const waiting = world.storeClock.known(stop.signal);
  await world.truth.advance(1_000);
  stop.abort();
  await expect(waiting).resolves.toBeUndefined();
});

test("it asks soon again while the store has never answered", async () => {
  await using world = start();
  world.delay.isDown = true;
  await world.truth.advance(2_000);
  world.delay.isDown = false;
  await world.truth.advance(600);
  expect(world.errorMs()).toBeLessThanOrEqual(20);
});
