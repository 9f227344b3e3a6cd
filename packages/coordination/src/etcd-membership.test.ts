// Membership and claims on an etcd that is paused, killed, wiped or wrong about a lease.
import type { Prefix } from "@sluice/core";
import { eventually, seededRandom } from "@sluice/core/testing";
import { systemClock } from "@sluice/runtime";
import { type Backend, startEtcd } from "@sluice/testbed";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Claim, claim, claimsUnder, epochOf, release, stillStands } from "./claims.ts";
import { startTcpProxy } from "./etcd/tcp-proxy.fixture.ts";
import { newNamespace, openTestEtcd } from "./etcd/test-etcd.fixture.ts";
import type { Coordinator, Lease } from "./index.ts";
import { memberKey, wishKey } from "./keys.ts";
import { createMembership, defaultLeaseProfile, fastLeaseProfile, type LeaseProfile } from "./membership.ts";
import { createFaultyCoordinator } from "./testing/index.ts";

const q0 = { queue: "q0", prefix: "" };

let server: Backend;
beforeAll(async () => {
  server = await startEtcd();
});
afterAll(() => server[Symbol.asyncDispose]());

test("a member that is cut off trusts its lease no longer when somebody else can claim", async () => {
  const namespace = newNamespace();
  await using proxy = await startTcpProxy(server.address);
  await using member = await join({ address: proxy.address, namespace, profile: fastLeaseProfile });
  await using other = await join({ id: "b", namespace, profile: fastLeaseProfile });
  const { lease, claim: lost } = await member.claimWhole();

  proxy.pass("nothing");
  await wish(other.coordinator, { "": "b" });
  const theirs = await other.untilClaimed();
  expect(member.trusts(lease)).toBe(false);
  expect(theirs.createRevision).toBeGreaterThan(lost.createRevision);

  proxy.pass("all");
  await eventually(() => member.membership.isTrusted());
  expect(member.membership.lease?.id).not.toBe(lease.id);
  expect(await stillStands(member.coordinator, lost)).toBe(false);
  expect(await stillStands(member.coordinator, theirs)).toBe(true);
});

test("members of a frozen etcd trust nothing; when it wakes, nobody claims what another one trusts", async () => {
  const namespace = newNamespace();
  await using member = await join({ namespace, profile: fastLeaseProfile });
  await using other = await join({ id: "b", namespace, profile: fastLeaseProfile });
  const { lease } = await member.claimWhole();
  await wish(other.coordinator, { "": "b" });

  server.kill("SIGSTOP");
  const frozenAt = systemClock.monotonic();
  await eventually(() => !member.membership.isTrusted() && !other.membership.isTrusted());
  // Sooner, the first renewal might save the lease.
  await eventually(() => systemClock.monotonic() > frozenAt + lease.ttlMs);
  const theirs = other.untilClaimed();
  server.kill("SIGCONT");

  await theirs;
  expect(member.trusts(lease)).toBe(false);
  await eventually(() => member.membership.isTrusted());
});

test("an etcd that is killed and comes back knows the lease: membership and claim go on", async () => {
  await using member = await join({ namespace: newNamespace(), profile: defaultLeaseProfile });
  const { lease, claim: mine } = await member.claimWhole();

  await server.stop("SIGKILL");
  await server.start();
  const renewals = await member.renewals();
  await eventually(async () => (await member.renewals()) > renewals);

  expect([member.membership.lease, member.membership.isTrusted()]).toEqual([lease, true]);
  expect(await stillStands(member.coordinator, mine)).toBe(true);
  expect(await member.coordinator.get(memberKey("a"))).toMatchObject({ leaseId: lease.id });
});

test("a lease that etcd drops early takes the claim along; the member joins again under a new one", async () => {
  await using member = await join({ namespace: newNamespace(), profile: defaultLeaseProfile });
  const { lease, claim: mine } = await member.claimWhole();

  await member.coordinator.revoke(lease);

  expect(await stillStands(member.coordinator, mine)).toBe(false);
  expect(await claim(member.coordinator, { ...q0, ownerId: "a", lease })).toBeUndefined();
  await eventually(() => member.membership.isTrusted() && member.membership.lease?.id !== lease.id);
  const again = await member.claimWhole();
  expect(again.claim.createRevision).toBeGreaterThan(mine.createRevision);
});

test("a wiped etcd starts its revisions again, but epochs go on", async () => {
  await using member = await join({ namespace: newNamespace(), profile: defaultLeaseProfile });
  for (let turn = 0; turn < 20; turn++) await wish(member.coordinator, { "": "a" });
  const { lease, claim: mine } = await member.claimWhole();
  const floor = epochOf(mine, []);

  await server.stop("SIGKILL");
  await server.wipe();
  await server.start();

  await eventually(() => member.membership.isTrusted() && member.membership.lease?.id !== lease.id);
  expect(await stillStands(member.coordinator, mine)).toBe(false);
  const { claim: again } = await member.claimWhole();
  expect(again.createRevision).toBeLessThan(mine.createRevision);
  expect(epochOf(again, [floor])).toBe(floor + 1);
});

test("whatever is lost or unheard, nobody holds a lane that somebody else holds", async () => {
  const namespace = newNamespace();
  await using etcd = openTestEtcd([server.address], { namespace });
  const { coordinator } = etcd;
  const random = seededRandom(7);
  const faulty = createFaultyCoordinator({
    coordinator,
    clock: systemClock,
    fault: () => (["refused", "unheard"] as const)[Math.floor(random.next() * 12)],
  });
  const shapes: Prefix[][] = [[""], ["0", "1"], ["0", "10", "11"]];
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random.next() * items.length)] as T;
  const holdings = new Set<{ readonly prefix: Prefix; readonly lease: Lease }>();
  const enough = 15;
  let claims = 0;
  const claimant = async (ownerId: string) => {
    const lease = await coordinator.grant(60_000);
    while (claims < enough) {
      const prefix = pick(pick(shapes));
      const mine = await claim(faulty, { queue: "q0", prefix, ownerId, lease }).catch(() => undefined);
      if (mine !== undefined) {
        claims += 1;
        for (const other of holdings) {
          const isShared = other.prefix.startsWith(prefix) || prefix.startsWith(other.prefix);
          expect(isShared && other.lease !== lease).toBe(false);
        }
        const holding = { prefix, lease };
        holdings.add(holding);
        await coordinator.get("/while-it-holds");
        holdings.delete(holding);
      }
      // Also those whose success was never heard of.
      for (const left of await claimsUnder(coordinator, lease)) await release(coordinator, left);
    }
  };
  const claiming = Promise.all([claimant("a"), claimant("b"), claimant("b")]);
  const wishing = (async () => {
    while (claims < enough) {
      await wish(coordinator, Object.fromEntries(pick(shapes).map((prefix) => [prefix, pick(["a", "b"])])));
      // Long enough for a claim to find it unchanged.
      for (let turn = 0; turn < 10; turn++) await coordinator.get("/between-two-wishes");
    }
  })();
  await Promise.all([claiming, wishing]);
});

interface JoinOptions {
  readonly id?: string;
  /** Default: the server itself. */
  readonly address?: string;
  readonly namespace: string;
  readonly profile: LeaseProfile;
}

/** A process with its own client, whose membership runs. */
async function join({ id = "a", address = server.address, namespace, profile }: JoinOptions) {
  const callDeadlineMs = profile.renewDeadlineMs;
  const etcd = openTestEtcd([address], { namespace, callDeadlineMs });
  const { coordinator } = etcd;
  const membership = createMembership({ coordinator, clock: systemClock, id, info: "{}", profile });
  const leave = new AbortController();
  const done = membership.run(leave.signal);
  await eventually(() => membership.isTrusted());

  async function untilClaimed(): Promise<Claim> {
    return eventually(async () => {
      const { lease } = membership;
      return lease && (await claim(coordinator, { ...q0, ownerId: id, lease }));
    });
  }
  return {
    coordinator,
    membership,
    untilClaimed,
    async claimWhole(): Promise<{ lease: Lease; claim: Claim }> {
      await wish(coordinator, { "": id });
      const mine = await untilClaimed();
      const { lease } = membership;
      if (lease === undefined) throw new Error("the lease is gone already");
      return { lease, claim: mine };
    },
    /** Whether it would act on this lease. */
    trusts: ({ id }: Lease) => membership.lease?.id === id && membership.isTrusted(),
    renewals: () => etcd.measured("calls_total", { call: "renew", outcome: "answered" }),
    async [Symbol.asyncDispose]() {
      leave.abort();
      await done;
      await etcd[Symbol.asyncDispose]();
    },
  };
}

/** Whatever the balancer would write. */
async function wish(coordinator: Coordinator, owners: Readonly<Record<Prefix, string>>): Promise<void> {
  const partitions = Object.entries(owners).map(([prefix, ownerId]) => ({ prefix, ownerId }));
  await coordinator.commit([], [{ op: "put", key: wishKey("q0"), value: JSON.stringify({ partitions }) }]);
}
