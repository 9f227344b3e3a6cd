import fc from "fast-check";
import { expect, test } from "vitest";
import { AccountId, type Flow, FunctionName } from "../ids.ts";
import { homeOf } from "./home.ts";
import { dedicatedQueueOf, isDedicatedQueue, sharedQueues } from "./route.ts";
import { firstQueueOf, routeOf, shorterQueue } from "./route-of.ts";
import { queuesOfAccount } from "./shuffle-shard.ts";

const none = { concurrencyMax: 0, rateMax: 0 };
const flow = (account: string, name = "f"): Flow => ({
  accountId: AccountId(account),
  functionName: FunctionName(name),
});
const accounts = Array.from({ length: 10_000 }, (_, index) => `account-${index}`);

test("a flow without anything special goes to the queue of the two that its account uses, on any lane", () => {
  const [first = "", second = ""] = queuesOfAccount("acme", sharedQueues());
  const other = sharedQueues().find((queue) => queue !== first && queue !== second);
  const facts = { function: none, account: undefined };
  expect(routeOf(flow("acme"), facts)).toEqual({ queue: first, lane: undefined });
  expect(routeOf(flow("acme"), { ...facts, preferredQueue: second })).toEqual({ queue: second, lane: undefined });
  expect(routeOf(flow("acme"), { ...facts, preferredQueue: other })).toEqual({ queue: first, lane: undefined });
});

test("a flow's own queue comes before the account's, and a limit's home before both", () => {
  const dedicatedQueue = dedicatedQueueOf(flow("acme"));
  const facts = { account: undefined, dedicatedQueue };
  expect(routeOf(flow("acme"), { ...facts, function: none })).toEqual({ queue: dedicatedQueue, lane: undefined });
  const limited = { ...facts, function: { concurrencyMax: 1, rateMax: 0 } };
  expect(routeOf(flow("acme"), limited)).toEqual(homeOf(flow("acme"), limited));
  const account = { concurrencyMax: 1, rateMax: 0 };
  expect(routeOf(flow("acme"), { ...facts, function: none, account }).queue).toBe(firstQueueOf(AccountId("acme")));
});

test("the queues of flows are named apart from each other and from the shared ones", () => {
  const names = accounts.map((account) => dedicatedQueueOf(flow(account)));
  expect(new Set(names).size).toBe(names.length);
  expect(names.every(isDedicatedQueue)).toBe(true);
  expect(sharedQueues().some(isDedicatedQueue)).toBe(false);
});

test("of 8 queues, 1 account in 28 shares both of its queues with a noisy one, and 3 in 7 share one", () => {
  const noisy = queuesOfAccount("noisy", sharedQueues());
  const shared = accounts.map(
    (account) => queuesOfAccount(account, sharedQueues()).filter((queue) => noisy.includes(queue)).length,
  );
  const share = (count: number) => shared.filter((each) => each === count).length / accounts.length;
  expect(share(2)).toBeCloseTo(1 / 28, 2);
  expect(share(1)).toBeCloseTo(12 / 28, 1);
});

test("whichever account is noisy, most others keep a queue without it", () => {
  fc.assert(
    fc.property(fc.nat(9_999), fc.integer({ min: 4, max: 64 }), (index, count) => {
      const queues = sharedQueues(count);
      const noisy = queuesOfAccount(accounts[index] as string, queues);
      const others = accounts.slice(0, 1_000);
      const both = others.filter((account) => queuesOfAccount(account, queues).every((queue) => noisy.includes(queue)));
      const expected = 2 / (count * (count - 1));
      return both.length / others.length < expected + 4 * Math.sqrt(expected / others.length) + 0.002;
    }),
    { numRuns: 50, seed: 1 },
  );
});

test("accounts are spread evenly over the queues", () => {
  const used = new Map<string, number>();
  for (const account of accounts) {
    for (const queue of queuesOfAccount(account, sharedQueues())) used.set(queue, (used.get(queue) ?? 0) + 1);
  }
  const mean = (2 * accounts.length) / 8;
  for (const count of used.values()) expect(Math.abs(count - mean)).toBeLessThan(0.06 * mean);
});

test("an account leaves its queue only for one that is clearly shorter, and does not come back at once", () => {
  const pair = ["q1", "q2"];
  const lengths = (one: number, two: number) => (queue: string) => (queue === "q1" ? one : two);
  expect(shorterQueue(pair, "q1", lengths(0, 0))).toBe("q1");
  expect(shorterQueue(pair, "q1", lengths(150, 0))).toBe("q1");
  expect(shorterQueue(pair, "q1", lengths(1_000, 800))).toBe("q1");
  expect(shorterQueue(pair, "q1", lengths(1_000, 400))).toBe("q2");
  expect(shorterQueue(["q1"], "q1", lengths(1_000, 0))).toBe("q1");
  fc.assert(
    fc.property(fc.nat(10_000), fc.nat(10_000), (one, two) => {
      const next = shorterQueue(pair, "q1", lengths(one, two));
      return shorterQueue(pair, next, lengths(one, two)) === next;
    }),
  );
});

test("while a noisy account fills both of its queues, those who share only one with it wait as if it were not there", () => {
  const [drainedPerSecond, submittedPerSecond, noisyPerSecond] = [1_000, 4, 20_000];
  const queues = sharedQueues();
  const pairs = accounts.slice(0, 1_000).map((account) => queuesOfAccount(account, queues));
  const noisyPair = queuesOfAccount("noisy", queues);
  const inUse = pairs.map(([first]) => first as string);
  let noisyInUse = noisyPair[0] as string;
  const waiting = new Map(queues.map((queue) => [queue, 0]));
  const add = (queue: string, tasks: number) => waiting.set(queue, (waiting.get(queue) ?? 0) + tasks);
  /** How long the next task of each account that shares one queue with the noisy one would wait, first in, first out. */
  const delays: number[] = [];
  for (let second = 0; second < 120; second++) {
    const seen = new Map(waiting);
    const seenIn = (queue: string) => seen.get(queue) ?? 0;
    for (let tenth = 0; tenth < 10; tenth++) {
      for (const queue of inUse) add(queue, submittedPerSecond / 10);
      add(noisyInUse, noisyPerSecond / 10);
      for (const queue of queues) add(queue, -Math.min(drainedPerSecond / 10, waiting.get(queue) ?? 0));
    }
    noisyInUse = shorterQueue(noisyPair, noisyInUse, seenIn);
    pairs.forEach((pair, index) => {
      inUse[index] = shorterQueue(pair, inUse[index] as string, seenIn);
      const shared = pair.filter((queue) => noisyPair.includes(queue)).length;
      if (shared === 1 && second > 5) delays.push((waiting.get(inUse[index] as string) ?? 0) / drainedPerSecond);
    });
  }
  for (const queue of noisyPair) expect(waiting.get(queue)).toBeGreaterThan(100_000);
  expect(delays.length).toBeGreaterThan(10_000);
  expect(Math.max(...delays.slice(0, 100_000))).toBeLessThan(1);
});
