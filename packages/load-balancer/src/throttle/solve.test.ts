import { AccountId, FunctionName } from "@sluice/core";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type AccountArrivals, defaultSolveConfig, judgeQueue, type QueueArrivals } from "./solve.ts";

const config = { ...defaultSolveConfig, backlogMin: 1_000 };
/** The reference is 5,000 tasks. */
const full = { backlog: 6_000, drainPerSecond: 500 };

function anAccount(name: string, perSecond: number, more: Partial<AccountArrivals> = {}): AccountArrivals {
  const functions = [{ functionName: FunctionName("f"), perSecond }];
  return { accountId: AccountId(name), perSecond, functions, waiting: undefined, ...more };
}
function functionsOf(rates: Readonly<Record<string, number>>): AccountArrivals["functions"] {
  return Object.entries(rates).map(([name, perSecond]) => ({ functionName: FunctionName(name), perSecond }));
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

test("of an account in many functions as much is refused as if it were one: what is not named, too", () => {
  const named = functionsOf({ f0: 8, f1: 8, f2: 8 });
  const good = Array.from({ length: 50 }, (_, index) => anAccount(`good-${index}`, 5));
  const pressure = { backlog: 110_000, drainPerSecond: 5_000 };
  const [one, many] = [{}, { functions: named }].map((more) =>
    judgeQueue(
      "q0",
      { wasThrottled: false, pressure, arrivals: among([anAccount("noisy", 16_000, more), ...good]) },
      defaultSolveConfig,
    ),
  );
  // 5,000/s leave, less the 10,000 above the reference in 10 s, less what the others send.
  expect(one?.drops).toMatchObject([{ functionName: undefined, share: 3_750, probability: 1 - 3_750 / 16_000 }]);
  expect(many?.drops).toEqual([{ ...one?.drops[0], probability: expect.closeTo(1 - 3_750 / 16_000) }]);
  expect(many?.othersDrop).toBe(0);
});

test("inside an account its loud functions lose first, then all of them", () => {
  const dropsOf = (functions: AccountArrivals["functions"], perSecond: number) =>
    judge(among([anAccount("noisy", perSecond, { functions }), anAccount("good", 100)])).drops.map(
      ({ functionName, probability, share, rate }) => ({
        functionName,
        got: rate * (1 - probability),
        share,
        probability,
      }),
    );
  // Of the share of 300/s the small ones need 100: ten of them, of which two are named.
  expect(dropsOf(functionsOf({ loud: 4_000, a: 10, b: 10 }), 4_100)).toEqual([
    { functionName: "loud", got: expect.closeTo(200), share: expect.closeTo(200), probability: expect.closeTo(0.95) },
  ]);
  // 1,000 small ones alone are too many, so all get the same, 300/1001 of a submission per second: the loud one no less than a fiftieth.
  expect(dropsOf(functionsOf({ loud: 4_000, a: 1, b: 1 }), 5_000)).toMatchObject([
    { functionName: undefined, share: 300, probability: expect.closeTo(1 - 300 / 1_001) },
    { functionName: "loud", probability: config.dropMax },
  ]);
});

test("of an account so many functions are named at most, the loudest", () => {
  const rates = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`f${index}`, 10 + index]));
  const perSecond = Object.values(rates).reduce((sum, rate) => sum + rate);
  const { drops } = judge(
    among([anAccount("noisy", perSecond, { functions: functionsOf(rates) }), anAccount("b", 20)]),
  );
  const names = drops.map(({ functionName }) => functionName);
  expect(names.slice(0, 2)).toEqual([undefined, "f39"]);
  expect(names.length).toBeLessThanOrEqual(1 + config.functionsMax);
});

test("no function that is named is refused less than those that are not, whatever is sent", () => {
  const rate = fc.double({ min: 0.1, max: 10_000, noNaN: true });
  const property = (named: readonly number[], others: number, good: number) => {
    const functions = functionsOf(Object.fromEntries(named.map((perSecond, index) => [`f${index}`, perSecond])));
    const perSecond = named.reduce((sum, value) => sum + value, others);
    const arrivals = among([anAccount("noisy", perSecond, { functions }), anAccount("good", good, { waiting: 0 })]);
    const ofNoisy = judge(arrivals).drops.filter(({ accountId }) => accountId === "noisy");
    const ofAll = ofNoisy.find(({ functionName }) => functionName === undefined)?.probability ?? 0;
    for (const { probability } of ofNoisy) expect(probability).toBeGreaterThanOrEqual(ofAll);
    const dropOf = (name: string) => ofNoisy.find(({ functionName }) => functionName === name)?.probability ?? ofAll;
    const loudest = [...functions].sort((a, b) => b.perSecond - a.perSecond).slice(0, config.functionsMax);
    const namedRate = loudest.reduce((sum, { perSecond: value }) => sum + value, 0);
    const got = loudest.reduce(
      (sum, { functionName, perSecond: value }) => sum + value * (1 - dropOf(functionName)),
      (perSecond - namedRate) * (1 - ofAll),
    );
    // The account keeps its share, and what is never refused.
    const share = Math.max(0, ofNoisy.length === 0 ? perSecond : 400 - good);
    expect(got).toBeLessThanOrEqual(share + (1 - config.dropMax) * perSecond + 0.001);
    expect(got).toBeGreaterThanOrEqual(Math.min(perSecond, share) - 0.001);
  };
  const rates = fc.array(rate, { minLength: 1, maxLength: 20 });
  fc.assert(fc.property(rates, rate, fc.double({ min: 60, max: 300, noNaN: true }), property), { seed: 1 });
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
