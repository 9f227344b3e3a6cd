import { AccountId, FunctionName } from "@sluice/core";
import { expect, test } from "vitest";
import { type AccountArrivals, defaultSolveConfig, judgeQueue, type QueueArrivals } from "./solve.ts";

const config = { ...defaultSolveConfig, backlogMin: 1_000 };
/** The reference is 5,000 tasks. */
const full = { backlog: 6_000, drainPerSecond: 500 };

function anAccount(name: string, perSecond: number, more: Partial<AccountArrivals> = {}): AccountArrivals {
  const functions = [{ functionName: FunctionName("f"), perSecond }];
  return { accountId: AccountId(name), perSecond, functions, waiting: undefined, ...more };
}
function among(accounts: readonly AccountArrivals[], small = 0): QueueArrivals {
  return { total: small + accounts.reduce((sum, { perSecond }) => sum + perSecond, 0), accounts };
}
const judge = (arrivals: QueueArrivals, pressure = full, wasThrottled = false) =>
  judgeQueue("q0", { wasThrottled, pressure, arrivals }, config);

test("while the backlog is short nobody is refused, however much is sent", () => {
  const arrivals = among([anAccount("a", 10_000), anAccount("b", 200)]);
  expect(judge(arrivals, { backlog: 4_900, drainPerSecond: 500 })).toEqual({
    isThrottled: false,
    drops: [],
    othersDrop: 0,
  });
});

test("who sends more than the fair share is cut to it; who sends less loses nothing", () => {
  const { isThrottled, drops, othersDrop } = judge(among([anAccount("noisy", 4_000), anAccount("good", 100)], 50));
  expect(isThrottled).toBe(true);
  expect(othersDrop).toBe(0);
  // 500/s leave, less the 1,000 above the reference in 10 s, less what the others send.
  const share = 400 - 100 - 50;
  const noisy = { accountId: "noisy", functionName: undefined, queue: "q0", rate: 4_000 };
  expect(drops).toEqual([{ ...noisy, share, probability: 1 - share / 4_000 }]);
});

test("an account that is refused divides its share among its functions", () => {
  const functions = [
    { functionName: FunctionName("loud"), perSecond: 4_000 },
    { functionName: FunctionName("quiet"), perSecond: 10 },
  ];
  const { drops } = judge(among([anAccount("noisy", 4_010, { functions }), anAccount("good", 100)]));
  expect(drops).toHaveLength(1);
  expect(drops[0]).toMatchObject({ accountId: "noisy", functionName: "loud", share: 290 });
});

test("an account with weight 3 gets three times the share of one with weight 1 while both send more", () => {
  const { drops } = judge(among([anAccount("heavy", 4_000, { weight: 3 }), anAccount("light", 4_000)]));
  const got = drops.map(({ accountId, rate, probability, share }) => [accountId, rate * (1 - probability), share]);
  // 400/s are admitted in all.
  expect(got).toEqual([
    ["heavy", expect.closeTo(300), 300],
    ["light", expect.closeTo(100), 100],
  ]);
});

test("a larger weight spares nobody who has more than its part, and lets more of it wait", () => {
  // The parts of the reference are 3,750 and 1,250 tasks.
  const sending = (weight: number) =>
    among([anAccount("a", 500, { weight, waiting: 3_000 }), anAccount("b", 500, { waiting: 3_000 })]);
  expect(judge(sending(3)).drops.map(({ accountId }) => accountId)).toEqual(["b"]);
  expect(judge(sending(1)).drops.map(({ accountId }) => accountId)).toEqual(["a", "b"]);
});

test("whoever has few tasks waiting is not refused for the backlog of others", () => {
  // What is held back by a limit: two hundred times the reference, of one account that sends little.
  const stuck = { backlog: 1_000_000, drainPerSecond: 500 };
  const arrivals = among([
    anAccount("stuck", 20, { waiting: 1_000_000 }),
    anAccount("good", 300, { waiting: 200 }),
    anAccount("better", 180, { waiting: 10 }),
  ]);
  const { drops, othersDrop } = judge(arrivals, stuck, true);
  expect(drops.map(({ accountId, probability }) => [accountId, probability])).toEqual([["stuck", config.dropMax]]);
  expect(othersDrop).toBe(0);
});

test("whoever fills the queue just now is cut although he has had nothing waiting", () => {
  const burst = anAccount("burst", 16_000, { waiting: 0 });
  const { drops, othersDrop } = judge(among([burst, anAccount("good", 100, { waiting: 0 })], 100));
  expect(drops.map(({ accountId }) => accountId)).toEqual(["burst"]);
  expect(othersDrop).toBe(0);
});

test("small ones are refused alike when they alone are more than what leaves", () => {
  const { drops, othersDrop } = judge(among([], 2_000));
  expect(drops).toEqual([]);
  expect(othersDrop).toBeCloseTo(0.75);
  const spared = judge(among([anAccount("good", 10, { waiting: 3 })], 2_000));
  expect(spared.drops).toMatchObject([{ accountId: "good", probability: 0 }]);
});

test("while nothing leaves, those who have little waiting are still taken", () => {
  const away = { backlog: 50_000, drainPerSecond: 0 };
  const arrivals = among([anAccount("noisy", 300, { waiting: 50_000 }), anAccount("good", 20, { waiting: 100 })]);
  const { drops, othersDrop } = judge(arrivals, away);
  expect(drops.map(({ accountId }) => accountId)).toEqual(["noisy"]);
  expect(othersDrop).toBe(0);
});

test("an account that is alone may fill its queue, until another one comes", () => {
  const bulk = { backlog: 900_000, drainPerSecond: 500 };
  expect(judge(among([anAccount("bulk", 10_000)], 5), bulk).isThrottled).toBe(false);
  expect(judge(among([anAccount("bulk", 10_000)], 500), bulk).isThrottled).toBe(true);
  expect(judge(among([anAccount("bulk", 10_000)], 5), { ...bulk, backlog: 1_100_000 }).isThrottled).toBe(true);
});

test("a queue that is throttled stays so until its backlog is half of the reference", () => {
  const arrivals = among([anAccount("a", 400), anAccount("b", 400)]);
  const half = { backlog: 2_600, drainPerSecond: 500 };
  expect(judge(arrivals, half, true).isThrottled).toBe(true);
  expect(judge(arrivals, half, false).isThrottled).toBe(false);
  expect(judge(arrivals, { ...half, backlog: 2_400 }, true).isThrottled).toBe(false);
});
