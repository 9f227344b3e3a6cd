import { FakeClock } from "@sluice/core/testing";
import { silentLogger } from "@sluice/runtime";
import { expect, test } from "vitest";
import { type Admission, writeAdmission } from "./admission.ts";
import { createAdmissionFollower } from "./follow-admission.ts";
import { admissionKey } from "./keys.ts";
import { createMemoryCoordinator } from "./memory.ts";
import { createFaultyCoordinator, type Fault } from "./testing/index.ts";

const validForMs = 5_000;

test("a document is followed at once, and ages until the next one", async () => {
  await using world = startWorld();
  await world.clock.advance(10);
  expect(world.follower.current()).toBeUndefined();
  await world.write();
  await world.clock.advance(100);
  expect(world.follower.current()?.ageMs).toBeLessThanOrEqual(100);
  await world.clock.advance(6_000);
  expect(world.follower.current()?.ageMs).toBeGreaterThan(validForMs);
  await world.write();
  await world.clock.advance(100);
  expect(world.follower.current()?.ageMs).toBeLessThanOrEqual(100);
});

test("a document that was found at the start is as old as it says, and one from the future is new", async () => {
  const clock = new FakeClock();
  await using old = startWorld(clock, { writtenAgoMs: 60_000 });
  await clock.advance(10);
  expect(old.follower.current()?.ageMs).toBeGreaterThanOrEqual(60_000);
  await using young = startWorld(clock, { writtenAgoMs: -60_000 });
  await clock.advance(10);
  expect(young.follower.current()?.ageMs).toBeLessThan(100);
});

test("without etcd the last document stays and ages; afterwards the newest one is found without a hint", async () => {
  await using world = startWorld();
  await world.write();
  await world.clock.advance(100);
  world.fault = "hangs";
  await world.clock.advance(20_000);
  expect(world.follower.current()?.ageMs).toBeGreaterThan(15_000);
  await world.write();
  world.fault = undefined;
  await world.clock.advance(4_500);
  expect(world.follower.current()?.ageMs).toBeLessThan(5_000);
});

test("a document that was deleted says nothing any more", async () => {
  await using world = startWorld();
  await world.write();
  await world.clock.advance(100);
  await world.coordinator.commit([], [{ op: "delete", key: admissionKey }]);
  await world.clock.advance(2_100);
  expect(world.follower.current()).toBeUndefined();
});

function startWorld(clock = new FakeClock(), { writtenAgoMs }: { readonly writtenAgoMs?: number } = {}) {
  const coordinator = createMemoryCoordinator({ clock });
  let fault: Fault | undefined;
  const faulty = createFaultyCoordinator({
    coordinator,
    clock,
    fault: (call) => (call === "get" ? fault : undefined),
  });
  const follower = createAdmissionFollower({ coordinator: faulty, clock, log: silentLogger });
  const stop = new AbortController();
  const write = (at = clock.now()) => {
    const admission: Admission = { at, validForMs, queues: new Map(), drops: [] };
    return writeAdmission(coordinator, admission, []);
  };
  const written = writtenAgoMs === undefined ? undefined : write(clock.now() - writtenAgoMs);
  const running = Promise.resolve(written).then(() => follower.run(stop.signal));
  return {
    clock,
    coordinator,
    follower,
    write: () => write(),
    set fault(value: Fault | undefined) {
      fault = value;
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await clock.settle();
      await running;
    },
  };
}
