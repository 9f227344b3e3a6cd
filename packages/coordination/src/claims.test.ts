import type { Partition, Prefix } from "@sluice/core";
import { FakeClock, seededRandom } from "@sluice/core/testing";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type Claim, claim, claimsUnder, epochOf, release, stillStands } from "./claims.ts";
import type { Coordinator, Lease } from "./index.ts";
import { claimKey, wishKey } from "./keys.ts";
import { createMemoryCoordinator } from "./memory.ts";
import { createFaultyCoordinator, type Fault } from "./testing/index.ts";

const q0: Partition = { queue: "q0", prefix: "" };

test("a claim is had by whom the wish names, and by nobody else", async () => {
  await using coordinator = createMemoryCoordinator({ clock: new FakeClock() });
  const [a, b] = [await coordinator.grant(6_000), await coordinator.grant(6_000)];
  expect(await claim(coordinator, { ...q0, ownerId: "a", lease: a })).toBeUndefined();
  await wish(coordinator, [["", "a"]]);

  expect(await claim(coordinator, { ...q0, ownerId: "b", lease: b })).toBeUndefined();
  expect(await claim(coordinator, { queue: "q0", prefix: "0", ownerId: "a", lease: a })).toBeUndefined();
  const mine = await claim(coordinator, { ...q0, ownerId: "a", lease: a });

  const entry = await coordinator.get(claimKey(q0));
  expect(entry).toMatchObject({ value: "a", leaseId: a.id });
  expect(mine).toEqual({ ...q0, createRevision: entry?.createRevision });
});

test("ancestors and descendants of a claimed partition cannot be claimed, its siblings can", async () => {
  await using coordinator = createMemoryCoordinator({ clock: new FakeClock() });
  const [a, b] = [await coordinator.grant(6_000), await coordinator.grant(6_000)];
  await wish(coordinator, [["01", "a"]]);
  const holder = await claim(coordinator, { queue: "q0", prefix: "01", ownerId: "a", lease: a });
  const tryAll = async (prefixes: Prefix[]) => {
    await wish(
      coordinator,
      prefixes.map((prefix) => [prefix, "b"]),
    );
    const claims = await Promise.all(
      prefixes.map((prefix) => claim(coordinator, { queue: "q0", prefix, ownerId: "b", lease: b })),
    );
    return claims.filter((had) => had !== undefined).map(({ prefix }) => prefix);
  };
  expect(holder).toBeDefined();
  expect(await tryAll([""])).toEqual([]);
  expect(await tryAll(["0", "1"])).toEqual(["1"]);
  expect(await tryAll(["00", "010", "01100", "01101", "0111"])).toEqual(["00"]);
  expect(await tryAll(["01"])).toEqual([]);
});

test("a claim ends with its release or its lease, and the next one has a higher revision", async () => {
  await using coordinator = createMemoryCoordinator({ clock: new FakeClock() });
  const lease = await coordinator.grant(6_000);
  await wish(coordinator, [["", "a"]]);
  const options = { ...q0, ownerId: "a", lease };
  const first = await had(claim(coordinator, options));
  await release(coordinator, first);
  expect(await stillStands(coordinator, first)).toBe(false);

  const second = await had(claim(coordinator, options));
  await release(coordinator, first);
  expect(await stillStands(coordinator, second)).toBe(true);
  expect(second.createRevision).toBeGreaterThan(first.createRevision);

  await coordinator.revoke(lease);
  expect(await stillStands(coordinator, second)).toBe(false);
  expect(await claim(coordinator, options)).toBeUndefined();
});

test("a claimant whose answer was lost recognises its success", async () => {
  const world = await faultyWorld();
  world.fault = "unheard";
  const mine = await had(claim(world.faulty, { ...q0, ownerId: "a", lease: world.lease }));
  expect(await stillStands(world.coordinator, mine)).toBe(true);

  world.fault = undefined;
  expect(await claim(world.faulty, { ...q0, ownerId: "a", lease: world.lease })).toEqual(mine);
  world.fault = "unheard";
  await release(world.faulty, mine);
  expect(await stillStands(world.coordinator, mine)).toBe(false);
});

test("an outcome that is still open is no answer", async () => {
  const world = await faultyWorld();
  world.fault = "refused";
  const attempt = claim(world.faulty, { ...q0, ownerId: "a", lease: world.lease });
  await expect(attempt).rejects.toMatchObject({ reason: "COORDINATOR_UNAVAILABLE" });
  world.fault = undefined;
  const mine = await had(claim(world.faulty, { ...q0, ownerId: "a", lease: world.lease }));
  world.fault = "refused";
  await expect(release(world.faulty, mine)).rejects.toMatchObject({ reason: "COORDINATOR_UNAVAILABLE" });
  expect(await stillStands(world.coordinator, mine)).toBe(true);
});

test("a claim that arrives late is found among those of its lease", async () => {
  const world = await faultyWorld();
  world.fault = "late";
  const attempt = claim(world.faulty, { ...q0, ownerId: "a", lease: world.lease });
  expect(await claimsUnder(world.coordinator, world.lease)).toEqual([]);
  await world.clock.advance(3_000);
  expect(await claimsUnder(world.coordinator, world.lease)).toEqual([await attempt]);
});

test("a claim that arrives after the wish has changed is refused", async () => {
  const world = await faultyWorld();
  world.fault = "late";
  const attempt = claim(world.faulty, { ...q0, ownerId: "a", lease: world.lease });
  await world.clock.settle();
  await wish(world.coordinator, [["", "b"]]);
  await world.clock.advance(3_000);
  expect(await attempt).toBeUndefined();
  expect(await claimsUnder(world.coordinator, world.lease)).toEqual([]);
});

test("an epoch exceeds every floor, and is the claim's revision where that is higher", () => {
  const mine: Claim = { ...q0, createRevision: 7 };
  expect(epochOf(mine, [])).toBe(7);
  expect(epochOf(mine, [0, 5])).toBe(7);
  expect(epochOf(mine, [3, 7])).toBe(8);
  expect(epochOf({ ...mine, createRevision: 1 }, [99, 100])).toBe(101);
});

test("whatever is lost, late or unheard, nobody holds a lane that somebody else holds", async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer(), async (seed) => {
      const random = seededRandom(seed);
      const clock = new FakeClock();
      const coordinator = createMemoryCoordinator({ clock });
      const faulty = createFaultyCoordinator({
        coordinator,
        clock,
        lateMs: 700,
        fault: () => (["refused", "unheard", "late"] as const)[Math.floor(random.next() * 12)],
      });
      const shapes: Prefix[][] = [[""], ["0", "1"], ["0", "10", "11"]];
      const holders = new Map<string, { readonly claim: Claim; readonly lease: Lease }>();
      const until = 30_000;
      const claimant = async (ownerId: string) => {
        const lease = await coordinator.grant(60_000);
        while (clock.monotonic() < until) {
          await clock.sleep(1 + random.next() * 500);
          const prefix = shapes[Math.floor(random.next() * 3)]?.[Math.floor(random.next() * 3)] ?? "";
          const mine = await claim(faulty, { queue: "q0", prefix, ownerId, lease }).catch(() => undefined);
          if (mine === undefined) continue;
          for (const other of holders.values()) {
            const isShared = other.claim.prefix.startsWith(prefix) || prefix.startsWith(other.claim.prefix);
            expect(isShared && other.lease !== lease).toBe(false);
          }
          const holding = { claim: mine, lease };
          holders.set(`${ownerId} ${prefix}`, holding);
          await clock.sleep(random.next() * 1_500);
          holders.delete(`${ownerId} ${prefix}`);
          for (const left of await claimsUnder(coordinator, lease)) await release(coordinator, left);
        }
      };
      const wisher = async () => {
        while (clock.monotonic() < until) {
          const shape = shapes[Math.floor(random.next() * 3)] ?? [""];
          await wish(
            coordinator,
            shape.map((prefix) => [prefix, random.next() < 0.5 ? "a" : "b"]),
          );
          await clock.sleep(1 + random.next() * 1_000);
        }
      };
      const all = Promise.all([claimant("a"), claimant("b"), claimant("b"), wisher()]);
      await Promise.all([all, clock.advance(until + 5_000)]);
    }),
    { numRuns: 20, seed: 3 },
  );
});

interface FaultyWorld {
  readonly clock: FakeClock;
  /** Without faults. */
  readonly coordinator: Coordinator;
  readonly faulty: Coordinator;
  readonly lease: Lease;
  /** Of the next commits; reads go well. */
  fault: Fault | undefined;
}

async function faultyWorld(): Promise<FaultyWorld> {
  const clock = new FakeClock();
  const coordinator = createMemoryCoordinator({ clock });
  const lease = await coordinator.grant(60_000);
  await wish(coordinator, [["", "a"]]);
  const world: FaultyWorld = {
    clock,
    coordinator,
    lease,
    fault: undefined,
    faulty: createFaultyCoordinator({
      coordinator,
      clock,
      fault: (call) => (call === "commit" ? world.fault : undefined),
    }),
  };
  return world;
}

/** Whatever the balancer would write, without its check that all lanes are covered. */
async function wish(coordinator: Coordinator, owners: [Prefix, string][]): Promise<void> {
  const covering = [...owners, ...missing(owners.map(([prefix]) => prefix))];
  const partitions = covering.map(([prefix, ownerId]) => ({ prefix, ownerId }));
  await coordinator.commit([], [{ op: "put", key: wishKey("q0"), value: JSON.stringify({ partitions }) }]);
}

/** Partitions of nobody for the lanes that are left. */
function missing(prefixes: Prefix[], prefix: Prefix = ""): [Prefix, string][] {
  if (prefixes.includes(prefix)) return [];
  if (!prefixes.some((other) => other.startsWith(prefix))) return [[prefix, "nobody"]];
  return [...missing(prefixes, `${prefix}0`), ...missing(prefixes, `${prefix}1`)];
}

async function had(attempt: Promise<Claim | undefined>): Promise<Claim> {
  const mine = await attempt;
  if (mine === undefined) throw new Error("the claim was not to be had");
  return mine;
}
