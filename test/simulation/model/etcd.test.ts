// The model misbehaves as etcd was measured to: leases end late, have their whole time again after a lost quorum, and are gone with
// the revisions after a wipe.
import { FakeClock } from "@sluice/core/testing";
import { expect, test } from "vitest";
import { EtcdModel } from "./etcd.ts";

async function withLease(lateMs = 0) {
  const clock = new FakeClock();
  const etcd = new EtcdModel({ clock, lateMs: () => lateMs });
  const lease = await etcd.grant(2_000);
  await etcd.commit([], [{ op: "put", key: "/a", value: "1", lease }]);
  return { clock, etcd, lease, isThere: async () => (await etcd.get("/a")) !== undefined };
}

test("without a quorum no lease ends, and afterwards each has its whole time again", async () => {
  const { clock, etcd, isThere } = await withLease();
  await clock.advance(1_900);
  const giveBack = etcd.loseQuorum();
  await clock.advance(60_000);
  giveBack();
  await clock.advance(1_999);
  expect(await isThere()).toBe(true);
  await clock.advance(1);
  expect(await isThere()).toBe(false);
});

test("a lease ends late, and can be renewed until then", async () => {
  const { clock, etcd, lease, isThere } = await withLease(3_000);
  await clock.advance(4_900);
  expect(await etcd.renew(lease)).toBe(true);
  await clock.advance(4_900);
  expect(await isThere()).toBe(true);
  await clock.advance(200);
  expect(await isThere()).toBe(false);
});

test("after a wipe the revisions begin anew, and leases are gone", async () => {
  const { etcd, lease, isThere } = await withLease();
  for (let turn = 0; turn < 10; turn++) await etcd.commit([], [{ op: "put", key: "/b", value: `${turn}` }]);
  etcd.wipe();
  expect([await isThere(), await etcd.renew(lease)]).toEqual([false, false]);
  expect((await etcd.commit([], [{ op: "put", key: "/b", value: "" }])).revision).toBe(2);
});
