import { AccountId } from "@sluice/core";
import { FakeClock } from "@sluice/core/testing";
import { expect, test } from "vitest";
import { createWaitingTasks } from "./waiting-tasks.ts";

const [a, b] = [AccountId("a"), AccountId("b")];
const max = 1_000_000;

test("an account at its limit costs the store a hundredth of a connection at most, and learns in seconds that it has room", async () => {
  const world = startWorld({ [a]: max });
  expect(await world.admit(a)).toBe(0);
  // It asks again ten times a second for ten minutes.
  await world.run(600_000, () => world.admit(a));
  expect(world.busyMs / 600_000).toBeLessThan(0.011);
  expect(world.counts.length).toBeGreaterThan(30);

  world.rows.set(a, max - 500);
  const since = world.clock.monotonic();
  while ((await world.admit(a)) === 0) await world.clock.advance(100);
  expect(world.clock.monotonic() - since).toBeLessThan(15_000);
});

test("however long a count takes, an account knows after half a minute, and its turn, that it has room", async () => {
  const world = startWorld({ [a]: max }, { msPerRow: 2e-3 });
  expect(await world.admit(a)).toBe(0);
  world.rows.set(a, 10);
  const since = world.clock.monotonic();
  while ((await world.admit(a)) === 0) await world.clock.advance(100);
  expect(world.clock.monotonic() - since).toBeLessThan(31_000);
});

test("an account whose tasks are counted fast is counted every second while it is full, and every five else", async () => {
  const world = startWorld({ [a]: 10, [b]: 5 }, { max: 10 });
  await world.admit(b, 1);
  await world.run(10_000, () => world.admit(a));
  await world.run(10_000, () => world.admit(b, 0));
  expect(world.counts.filter((account) => account === a).length).toBeGreaterThanOrEqual(9);
  expect(world.counts.filter((account) => account === a).length).toBeLessThanOrEqual(11);
  expect(world.counts.filter((account) => account === b).length).toBeLessThanOrEqual(4);
});

test("a server counts one account at a time, those that are full first; a first submission waits for its own count only", async () => {
  const full = Array.from({ length: 10 }, (_, index) => AccountId(`full-${index}`));
  const others = Array.from({ length: 10 }, (_, index) => AccountId(`other-${index}`));
  const rows = Object.fromEntries([...full.map((id) => [id, max]), ...others.map((id) => [id, max / 2])]);
  const world = startWorld(rows);
  for (const id of [...others, ...full]) await world.admit(id);
  expect(world.counts).toHaveLength(20);
  await world.clock.advance(30_000);

  world.counts.length = 0;
  world.atOnceMax = 0;
  for (const id of [...others, ...full]) void world.admit(id);
  await world.clock.advance(20);
  expect(await world.admit(b)).toBe(1);
  expect(world.counts).toEqual(["other-0", b]);
  await world.clock.advance(10_000);
  expect(world.counts).toEqual(["other-0", b, ...full, ...others.slice(1)]);
  // The first count of b, and one of those that were due.
  expect(world.atOnceMax).toBe(2);
});

test("a count that fails is told, changes nothing, and is tried again after the pause; a first one fails its submission", async () => {
  const world = startWorld({ [a]: 10 }, { max: 10 });
  world.cause = new Error("away");
  await expect(world.admit(a)).rejects.toBe(world.cause);
  expect(world.waiting.estimateOf(a)).toBeUndefined();

  world.cause = undefined;
  expect(await world.admit(a)).toBe(0);
  expect(world.waiting.estimateOf(a)).toBe(10);
  world.cause = new Error("away again");
  world.counts.length = 0;
  await world.run(5_000, () => world.admit(a));
  expect(world.failures).toHaveLength(world.counts.length);
  expect(world.counts.length).toBeLessThanOrEqual(5);
  world.cause = undefined;
  world.rows.set(a, 9);
  await world.run(2_000, () => world.admit(a));
  expect(world.waiting.estimateOf(a)).toBe(10);
});

/** A store in which so many tasks of the accounts are not final, and counting takes its time. */
function startWorld(
  tasks: Readonly<Record<string, number>>,
  options: { readonly max?: number; readonly msPerRow?: number } = {},
) {
  const clock = new FakeClock();
  const rows = new Map(Object.entries(tasks));
  const world = {
    clock,
    rows,
    /** Accounts in the order in which they were counted. */
    counts: [] as AccountId[],
    failures: [] as unknown[],
    busyMs: 0,
    atOnceMax: 0,
    cause: undefined as Error | undefined,
  };
  const countMs = (accountId: AccountId) => Math.floor((rows.get(accountId) ?? 0) * (options.msPerRow ?? 1e-4));
  let atOnce = 0;
  async function countWaiting(accountId: AccountId): Promise<number> {
    world.counts.push(accountId);
    atOnce += 1;
    world.atOnceMax = Math.max(world.atOnceMax, atOnce);
    if (world.cause !== undefined) {
      atOnce -= 1;
      throw world.cause;
    }
    const counted = rows.get(accountId) ?? 0;
    const tookMs = countMs(accountId);
    if (tookMs > 0) await clock.sleep(tookMs);
    world.busyMs += tookMs;
    atOnce -= 1;
    return counted;
  }
  const waiting = createWaitingTasks({
    store: { tasks: { countWaiting } },
    clock,
    max: options.max ?? max,
    onFailure: (cause) => world.failures.push(cause),
  });
  return Object.assign(world, {
    waiting,
    /** Takes as long as a first count. */
    async admit(accountId: AccountId, wanted = 1): Promise<number> {
      const isFirst = waiting.estimateOf(accountId) === undefined;
      const admitted = waiting.admit(accountId, wanted);
      if (!isFirst) return await admitted;
      const [answer] = await Promise.allSettled([admitted, clock.advance(countMs(accountId))]);
      if (answer.status === "rejected") throw answer.reason;
      return answer.value;
    },
    async run(ms: number, act: () => Promise<unknown>): Promise<void> {
      for (let at = 0; at < ms; at += 100) {
        await act();
        await clock.advance(100);
      }
    },
  });
}
