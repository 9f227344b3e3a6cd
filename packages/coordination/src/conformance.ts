// What every coordinator must do, as tests; each driver's own test calls `describeCoordinator`. They wait for facts, since
// a real one expires leases and tells watchers when it likes.
import { describe, expect, test } from "vitest";
import type { Condition, Coordinator, Lease } from "./index.ts";

/** An empty coordinator, as the suite needs it. */
export interface CoordinatorUnderTest extends AsyncDisposable {
  readonly coordinator: Coordinator;
  /** The same store, seen by another process; may be the same object where there is only one. */
  readonly other: Coordinator;
  /** Of leases in these tests. */
  readonly ttlMs: number;
  /** Lets so much of the coordinator's time pass: moves its clock, or waits. */
  pass(ms: number): Promise<void>;
}

export function describeCoordinator(name: string, open: () => Promise<CoordinatorUnderTest>): void {
  describe(`the coordinator ${name}`, () => {
    describeKeys(open);
    describeTransactions(open);
    describeLeases(open);
    describeWatches(open);
  });
}

function describeKeys(open: () => Promise<CoordinatorUnderTest>): void {
  test("a key that was put can be read by everybody at once, with where it comes from", async () => {
    await using world = await open();
    const { coordinator, other } = world;
    expect(await coordinator.get("/a")).toBeUndefined();

    const created = await put(coordinator, "/a", "1");
    const changed = await put(coordinator, "/a", "zwei – ✓");

    expect(changed).toBeGreaterThan(created);
    expect(await other.get("/a")).toEqual({
      key: "/a",
      value: "zwei – ✓",
      createRevision: created,
      modRevision: changed,
      leaseId: undefined,
    });
  });

  test("a list has all keys that begin so, by key, as of the last commit", async () => {
    await using world = await open();
    for (const key of ["/m/b", "/m/a", "/m", "/n/a", "/m/a/x", "/m/Z"]) await put(world.coordinator, key, key);
    await world.coordinator.commit([], [{ op: "delete", key: "/m/b" }]);
    expect((await world.other.list("/m/")).map(({ key }) => key)).toEqual(["/m/Z", "/m/a", "/m/a/x"]);
    expect(await world.other.list("/none/")).toEqual([]);
  });

  test("a key that is deleted and put again has a higher create revision", async () => {
    await using world = await open();
    const first = await put(world.coordinator, "/a", "1");
    await world.coordinator.commit([], [{ op: "delete", key: "/a" }]);
    const second = await put(world.coordinator, "/a", "1");
    expect(second).toBeGreaterThan(first);
    expect(await world.coordinator.get("/a")).toMatchObject({ createRevision: second, modRevision: second });
  });
}

function describeTransactions(open: () => Promise<CoordinatorUnderTest>): void {
  test("each kind of condition decides over the operations", async () => {
    await using world = await open();
    const { coordinator } = world;
    const created = await put(coordinator, "/a", "1");
    const changed = await put(coordinator, "/a", "2");
    const outcomes: [Condition, boolean][] = [
      [{ key: "/a", is: "present" }, true],
      [{ key: "/a", is: "absent" }, false],
      [{ key: "/none", is: "present" }, false],
      [{ key: "/none", is: "absent" }, true],
      [{ key: "/a", createRevision: created }, true],
      [{ key: "/a", createRevision: changed }, false],
      [{ key: "/none", createRevision: created }, false],
      [{ key: "/a", modRevision: changed }, true],
      [{ key: "/a", modRevision: created }, false],
      [{ key: "/none", modRevision: changed }, false],
    ];
    for (const [index, [condition, holds]] of outcomes.entries()) {
      const key = `/outcome/${index}`;
      const { succeeded } = await coordinator.commit([condition], [{ op: "put", key, value: "" }]);
      expect([condition, succeeded, (await coordinator.get(key)) !== undefined]).toEqual([condition, holds, holds]);
    }
  });

  test("a transaction happens as a whole or not at all", async () => {
    await using world = await open();
    const { coordinator } = world;
    await put(coordinator, "/old", "1");
    const operations = [
      { op: "put", key: "/x", value: "1" },
      { op: "put", key: "/y", value: "2" },
      { op: "delete", key: "/old" },
    ] as const;
    const present = { key: "/old", is: "present" } as const;

    const refused = await coordinator.commit([present, { key: "/none", is: "present" }], operations);
    expect(refused.succeeded).toBe(false);
    expect((await coordinator.list("/")).map(({ key }) => key)).toEqual(["/old"]);

    const done = await coordinator.commit([present, { key: "/none", is: "absent" }], operations);
    expect(done.succeeded).toBe(true);
    expect((await coordinator.list("/")).map(({ key, createRevision }) => [key, createRevision])).toEqual([
      ["/x", done.revision],
      ["/y", done.revision],
    ]);
  });

  test("a transaction may have 128 conditions", async () => {
    await using world = await open();
    const conditions: Condition[] = Array.from({ length: 128 }, (_, index) => ({
      key: `/none/${index}`,
      is: "absent",
    }));
    const put = { op: "put", key: "/none/127", value: "" } as const;
    expect((await world.coordinator.commit(conditions, [put])).succeeded).toBe(true);
    expect((await world.coordinator.commit(conditions, [put])).succeeded).toBe(false);
  });

  test("of many that create the same key at once, one succeeds", async () => {
    await using world = await open();
    const attempts = Array.from({ length: 20 }, (_, index) =>
      (index % 2 === 0 ? world.coordinator : world.other).commit(
        [{ key: "/leader", is: "absent" }],
        [{ op: "put", key: "/leader", value: String(index) }],
      ),
    );
    const winners = (await Promise.all(attempts)).flatMap(({ succeeded }, index) => (succeeded ? [String(index)] : []));
    expect(winners).toEqual([(await world.coordinator.get("/leader"))?.value]);
  });
}

function describeLeases(open: () => Promise<CoordinatorUnderTest>): void {
  test("keys under a lease stay while it is renewed, and vanish when it is not", async () => {
    await using world = await open();
    const { coordinator, other } = world;
    const lease = await coordinator.grant(world.ttlMs);
    expect(lease.ttlMs).toBeGreaterThanOrEqual(world.ttlMs);
    await put(coordinator, "/a", "1", lease);
    await put(coordinator, "/free", "1");
    for (let third = 0; third < 6; third++) {
      await world.pass(lease.ttlMs / 3);
      expect(await coordinator.renew(lease)).toBe(true);
    }
    expect(await other.get("/a")).toMatchObject({ leaseId: lease.id });

    await eventually(world, async () => (await other.get("/a")) === undefined);

    expect(await coordinator.renew(lease)).toBe(false);
    expect((await other.list("/")).map(({ key }) => key)).toEqual(["/free"]);
  });

  test("revoking a lease deletes its keys, and no others", async () => {
    await using world = await open();
    const { coordinator } = world;
    const [lease, kept] = [await coordinator.grant(world.ttlMs), await coordinator.grant(world.ttlMs)];
    expect(kept.id).not.toBe(lease.id);
    await put(coordinator, "/a", "1", lease);
    await put(coordinator, "/b", "1", lease);
    await put(coordinator, "/c", "1", kept);

    await coordinator.revoke(lease);
    await coordinator.revoke(lease);

    expect((await coordinator.list("/")).map(({ key }) => key)).toEqual(["/c"]);
    expect(await coordinator.renew(lease)).toBe(false);
    expect(await coordinator.renew(kept)).toBe(true);
  });

  test("nothing is put under a lease that is gone", async () => {
    await using world = await open();
    const lease = await world.coordinator.grant(world.ttlMs);
    await world.coordinator.revoke(lease);
    const free = { op: "put", key: "/free", value: "" } as const;
    await expect(
      world.coordinator.commit([], [free, { op: "put", key: "/a", value: "1", lease }]),
    ).rejects.toMatchObject({ reason: "LEASE_GONE" });
    expect(await world.coordinator.list("/")).toEqual([]);
  });

  test("a key that is put again under another lease, or under none, leaves the first one", async () => {
    await using world = await open();
    const { coordinator } = world;
    const [first, second] = [await coordinator.grant(world.ttlMs), await coordinator.grant(world.ttlMs)];
    await put(coordinator, "/moved", "1", first);
    await put(coordinator, "/moved", "2", second);
    await put(coordinator, "/freed", "1", first);
    await put(coordinator, "/freed", "2");
    await coordinator.revoke(first);
    expect((await coordinator.list("/")).map(({ key, leaseId }) => [key, leaseId])).toEqual([
      ["/freed", undefined],
      ["/moved", second.id],
    ]);
  });
}

function describeWatches(open: () => Promise<CoordinatorUnderTest>): void {
  test("a watcher is told of puts, deletions and ended leases below its prefix, never inside the call", async () => {
    await using world = await open();
    const { coordinator } = world;
    let isInside = false;
    let hints = 0;
    const insideHints: number[] = [];
    coordinator.watch("/m/", () => {
      hints += 1;
      if (isInside) insideHints.push(hints);
    });
    const lease = await coordinator.grant(world.ttlMs);
    const causes = [
      (turn: number) => put(coordinator, "/m/a", String(turn), lease),
      (turn: number) =>
        coordinator.commit([], [turn % 2 === 0 ? deletion("/m/b") : { ...deletion("/m/b"), op: "put", value: "" }]),
    ];
    for (const cause of causes) {
      const before = hints;
      let turn = 0;
      await eventually(world, async () => {
        isInside = true;
        const call = cause(++turn);
        isInside = false;
        await call;
        return hints > before;
      });
    }
    const before = hints;
    await coordinator.revoke(lease);
    await eventually(world, async () => hints > before);
    expect(insideHints).toEqual([]);
  });

  test("a watcher hears nothing of other keys, and nothing after it stopped", async () => {
    await using world = await open();
    const heard: string[] = [];
    const stop = world.coordinator.watch("/m/", () => heard.push("stopped"));
    world.coordinator.watch("/n/", () => heard.push("other"));
    world.coordinator.watch("/m/", () => heard.push("heard"));
    stop();
    stop();
    await eventually(world, async () => {
      await put(world.coordinator, "/m/a", "1");
      return heard.length > 0;
    });
    expect(new Set(heard)).toEqual(new Set(["heard"]));
  });
}

/** The revision at which it was put. */
async function put(coordinator: Coordinator, key: string, value: string, lease?: Lease): Promise<number> {
  const operation = { op: "put", key, value } as const;
  return (await coordinator.commit([], [lease === undefined ? operation : { ...operation, lease }])).revision;
}

function deletion(key: string) {
  return { op: "delete", key } as const;
}

async function eventually(world: CoordinatorUnderTest, holds: () => Promise<boolean>): Promise<void> {
  const everyMs = world.ttlMs / 10;
  for (let looks = 0; looks < 100; looks++) {
    if (await holds()) return;
    await world.pass(everyMs);
  }
  throw new Error(`did not hold after ${100 * everyMs} ms: ${holds}`);
}
