import { type ClockView, FakeClock } from "@sluice/core/testing";
import { expect, test } from "vitest";
import type { Coordinator } from "./index.ts";
import { memberKey } from "./keys.ts";
import { createMembership, defaultLeaseProfile, type Membership } from "./membership.ts";
import { createMemoryCoordinator } from "./memory.ts";
import { type CoordinatorCall, createFaultyCoordinator, type Fault } from "./testing/index.ts";

const key = memberKey("s1");

test("it joins, stays for as long as it renews, and leaves at once when it is stopped", async () => {
  await using world = startMembership();
  const { clock, coordinator, membership } = world;
  await clock.advance(1);
  expect(await coordinator.get(key)).toMatchObject({ value: "info", leaseId: membership.lease?.id });
  const joined = membership.lease;

  await clock.advance(60_000);
  expect(membership.lease).toEqual(joined);
  expect(membership.isTrusted()).toBe(true);

  await world.stop();
  expect([await coordinator.get(key), membership.lease, membership.isTrusted()]).toEqual([undefined, undefined, false]);
});

test("trust ends 2 % and a margin before the lease may, counted from the sending of the last good renewal", async () => {
  await using world = startMembership();
  const { clock, membership } = world;
  await clock.advance(4_001);
  // The last renewal was sent at 4 s; from now on nothing is answered.
  world.faults.renew = "hangs";
  await clock.advance(5_378);
  expect(membership.isTrusted()).toBe(true);
  await clock.advance(1);
  expect([clock.monotonic(), membership.isTrusted()]).toEqual([9_380, false]);
  expect(await world.coordinator.get(key)).toBeDefined();
});

test("a slow answer does not lengthen the trust", async () => {
  await using world = startMembership({ lateMs: 1_400 });
  const { clock, membership } = world;
  await clock.advance(1);
  world.faults.renew = "late";
  await clock.advance(2_000);
  expect(clock.monotonic()).toBe(2_001);
  await clock.advance(1_400);
  world.faults.renew = "hangs";
  await clock.runUntil(() => !membership.isTrusted(), { withinMs: 10_000 });
  // Sent at 2 s, answered at 3.4 s.
  expect(clock.monotonic()).toBeLessThan(2_000 + 5_380 + 600);
  expect(clock.monotonic()).toBeGreaterThanOrEqual(2_000 + 5_380);
});

test("a wall clock that jumps ahead, as after a suspension, ends the trust until the next renewal", async () => {
  await using world = startMembership();
  const { clock, membership } = world;
  await clock.advance(1);
  world.node.jump(3_600_000);
  expect(membership.isTrusted()).toBe(false);
  await clock.advance(2_000);
  expect(membership.isTrusted()).toBe(true);
});

test("a lease that is lost early is replaced under a new one, key and all", async () => {
  await using world = startMembership();
  const { clock, coordinator, membership } = world;
  await clock.advance(1);
  const lost = membership.lease;
  if (lost !== undefined) await coordinator.revoke(lost);
  await clock.advance(2_000);
  expect(membership.lease?.id).not.toBe(lost?.id);
  expect(membership.isTrusted()).toBe(true);
  expect(await coordinator.get(key)).toMatchObject({ leaseId: membership.lease?.id });
});

test("calls that hang do not hang the loop: it is back after they are answered again", async () => {
  await using world = startMembership();
  const { clock, membership } = world;
  for (const call of ["grant", "renew", "get", "commit"] as const) {
    await clock.advance(5_000);
    world.faults[call] = "hangs";
    await clock.advance(20_000);
    delete world.faults[call];
    await clock.runUntil(() => membership.isTrusted(), { withinMs: 4_000 });
    expect(await world.coordinator.get(key)).toMatchObject({ leaseId: membership.lease?.id });
  }
});

test("a lease that outlives an outage is trusted again, the same one", async () => {
  await using world = startMembership();
  const { clock, membership } = world;
  await clock.advance(1);
  const { lease } = membership;
  world.faults.renew = "refused";
  await clock.advance(5_400);
  expect([membership.isTrusted(), membership.lease]).toEqual([false, lease]);
  delete world.faults.renew;
  await clock.advance(200);
  expect([membership.isTrusted(), membership.lease]).toEqual([true, lease]);
});

test("a join whose answer was lost is found, not repeated", async () => {
  await using world = startMembership({ faults: { commit: "unheard" } });
  const { clock, coordinator } = world;
  await clock.advance(1);
  const entry = await coordinator.get(key);
  expect(entry).toBeDefined();
  await clock.advance(3_000);
  expect(await coordinator.get(key)).toEqual(entry);
  expect(world.membership.lease?.id).toBe(entry?.leaseId);
});

test("a write that arrives late does not displace a newer one", async () => {
  await using world = startMembership({ lateMs: 2_500, faults: { commit: "late" } });
  const { clock, coordinator, membership } = world;
  await clock.advance(100);
  membership.announce("draining");
  delete world.faults.commit;
  await clock.advance(2_300);
  expect(await coordinator.get(key)).toMatchObject({ value: "draining" });
  await clock.advance(200);
  expect(await coordinator.get(key)).toMatchObject({ value: "draining" });
});

test("a key that somebody deleted is written again; news are announced at once", async () => {
  await using world = startMembership();
  const { clock, coordinator, membership } = world;
  await clock.advance(1);
  await coordinator.commit([], [{ op: "delete", key }]);
  await clock.advance(2_000);
  expect(await coordinator.get(key)).toMatchObject({ value: "info" });
  membership.announce("draining");
  await clock.settle();
  expect(await coordinator.get(key)).toMatchObject({ value: "draining", leaseId: membership.lease?.id });
});

test("a new life under the same id takes the key over from the old lease", async () => {
  await using world = startMembership();
  const { clock, coordinator } = world;
  await clock.advance(1);
  world.faults.renew = "hangs";
  const successor = createMembership({ coordinator, clock, id: "s1", info: "second", profile: defaultLeaseProfile });
  const controller = new AbortController();
  const done = successor.run(controller.signal);
  await clock.settle();
  world.die();
  await clock.advance(10_000);
  expect(await coordinator.get(key)).toMatchObject({ value: "second", leaseId: successor.lease?.id });
  controller.abort();
  await done;
});

interface World extends AsyncDisposable {
  readonly clock: FakeClock;
  /** The clock of the process. */
  readonly node: ClockView;
  /** Without faults. */
  readonly coordinator: Coordinator;
  /** By call; may change at any time. */
  readonly faults: Partial<Record<CoordinatorCall, Fault>>;
  readonly membership: Membership;
  stop(): Promise<void>;
  /** Without a word. */
  die(): void;
}

function startMembership({ lateMs = 3_000, faults = {} }: { lateMs?: number; faults?: World["faults"] } = {}): World {
  const clock = new FakeClock();
  const node = clock.view();
  const coordinator = createMemoryCoordinator({ clock });
  const faulty = createFaultyCoordinator({ coordinator, clock, lateMs, fault: (call) => faults[call] });
  const membership = createMembership({
    coordinator: faulty,
    clock: node,
    id: "s1",
    info: "info",
    profile: defaultLeaseProfile,
  });
  const controller = new AbortController();
  let isDead = false;
  const done = membership.run(controller.signal);
  const stop = async () => {
    controller.abort();
    if (!isDead) await Promise.all([done, clock.advance(10_000)]);
  };
  return {
    clock,
    node,
    coordinator,
    faults,
    membership,
    stop,
    die() {
      isDead = true;
      node.freeze();
    },
    [Symbol.asyncDispose]: stop,
  };
}
