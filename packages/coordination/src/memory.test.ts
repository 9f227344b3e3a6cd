import { FakeClock } from "@sluice/core/testing";
import { expect, test } from "vitest";
import { describeCoordinator } from "./conformance.ts";
import { createMemoryCoordinator } from "./memory.ts";

describeCoordinator("in memory", async () => {
  const clock = new FakeClock();
  const coordinator = createMemoryCoordinator({ clock });
  return {
    coordinator,
    other: coordinator,
    ttlMs: 6_000,
    pass: (ms) => clock.advance(ms),
    [Symbol.asyncDispose]: () => coordinator[Symbol.asyncDispose](),
  };
});

test("a lease ends exactly one time to live after its last renewal", async () => {
  const clock = new FakeClock();
  await using coordinator = createMemoryCoordinator({ clock });
  const lease = await coordinator.grant(1_000);
  await coordinator.commit([], [{ op: "put", key: "/a", value: "", lease }]);
  await clock.advance(400);
  await coordinator.renew(lease);
  await clock.advance(999);
  expect(await coordinator.get("/a")).toBeDefined();
  await clock.advance(1);
  expect(await coordinator.get("/a")).toBeUndefined();
  expect(clock.pendingTimers).toBe(0);
});

test("a burst of changes is one hint", async () => {
  const clock = new FakeClock();
  await using coordinator = createMemoryCoordinator({ clock });
  let hints = 0;
  coordinator.watch("/", () => hints++);
  const keys = Array.from({ length: 100 }, (_, index) => `/${index}`);
  await coordinator.commit(
    [],
    keys.map((key) => ({ op: "put", key, value: "" })),
  );
  await clock.settle();
  expect(hints).toBe(1);
});

test("a closed coordinator leaves no timer and refuses every call", async () => {
  const clock = new FakeClock();
  const coordinator = createMemoryCoordinator({ clock });
  const lease = await coordinator.grant(1_000);
  await coordinator[Symbol.asyncDispose]();
  expect(clock.pendingTimers).toBe(0);
  await expect(coordinator.get("/a")).rejects.toMatchObject({ reason: "COORDINATOR_UNAVAILABLE" });
  await expect(coordinator.renew(lease)).rejects.toMatchObject({ reason: "COORDINATOR_UNAVAILABLE" });
});

test("a transaction of more than 128 conditions, or that changes a key twice, is a bug of the caller", async () => {
  await using coordinator = createMemoryCoordinator({ clock: new FakeClock() });
  const conditions = Array.from({ length: 129 }, (_, index) => ({ key: `/${index}`, is: "absent" as const }));
  await expect(coordinator.commit(conditions, [])).rejects.toThrow("at most 128");
  const put = { op: "put", key: "/a", value: "" } as const;
  await expect(coordinator.commit([], [put, { op: "delete", key: "/a" }])).rejects.toThrow("once");
});
