import { AccountId, FunctionName, otherFunctions } from "@sluice/core";
import type { Arrivals, FlowArrivals } from "@sluice/queue";
import { expect, test } from "vitest";
import { createArrivalBook } from "./arrivals.ts";

const flow = (account: string, name: string, perSecond: number, waiting?: number): FlowArrivals => ({
  queue: "q0",
  accountId: AccountId(account),
  functionName: FunctionName(name),
  perSecond,
  waiting,
});
const report = (serverId: string, total: number, ...flows: FlowArrivals[]): Arrivals => ({
  serverId,
  totals: new Map([["q0", total]]),
  flows,
});

test("what the api-servers report is one sum", () => {
  const book = createArrivalBook();
  book.note(report("s1", 100, flow("a", "f", 60, 5), flow("a", "g", 20, 5)), 0);
  book.note(report("s2", 50, flow("a", "f", 30, 9)), 0);
  const { total, accounts } = book.read(0).get("q0") ?? { total: 0, accounts: [] };
  expect(total).toBe(150);
  expect(accounts).toEqual([
    {
      accountId: "a",
      perSecond: 110,
      functions: [
        { functionName: "f", perSecond: 90 },
        { functionName: "g", perSecond: 20 },
      ],
      waiting: 9,
    },
  ]);
});

test("what functions without a line of their own submit counts for the account, and is no function", () => {
  const book = createArrivalBook();
  const others = { ...flow("a", "f", 900, 5), functionName: otherFunctions };
  book.note(report("s1", 1_000, flow("a", "f", 100, 5), others), 0);
  // Of an api-server of the release before: only flows.
  book.note(report("s2", 60, flow("a", "f", 30, 5), flow("a", "g", 20, 5)), 0);
  const arrivals = book.read(0).get("q0");
  expect(arrivals?.total).toBe(1_060);
  expect(arrivals?.accounts).toEqual([
    {
      accountId: "a",
      perSecond: 1_050,
      functions: [
        { functionName: "f", perSecond: 130 },
        { functionName: "g", perSecond: 20 },
      ],
      waiting: 5,
    },
  ]);
});

test("an account that changes its functions every second submits no more than it does", () => {
  const book = createArrivalBook();
  for (let second = 0; second < 10; second++) {
    book.note(report("s1", 1_000, flow("a", `f${second}`, 1_000)), 1_000 * second);
    const { total, accounts } = book.read(1_000 * second).get("q0") ?? {};
    expect([total, accounts?.map(({ perSecond }) => perSecond)]).toEqual([1_000, [1_000]]);
  }
});

test("what is new counts at once, what changes by halves, and what ended is forgotten", () => {
  const book = createArrivalBook();
  const rates: (number | undefined)[] = [];
  const second = (now: number, rate: number | undefined) => {
    if (rate !== undefined) book.note(report("s1", rate, flow("a", "f", rate)), now);
    rates.push(book.read(now).get("q0")?.accounts[0]?.perSecond);
  };
  second(0, 100);
  second(1_000, 300);
  second(2_000, 300);
  for (const now of [6_000, 7_000]) second(now, undefined);
  expect(rates).toEqual([100, 200, 250, 125, 62.5]);
  for (let now = 8_000; now < 20_000; now += 1_000) second(now, undefined);
  expect(book.read(20_000).size).toBe(0);
});

test("a report that is lost changes nothing; a server that is gone is forgotten", () => {
  const book = createArrivalBook();
  book.note(report("s1", 100, flow("a", "f", 100)), 0);
  expect(book.read(0).get("q0")?.total).toBe(100);
  expect(book.read(2_000).get("q0")?.total).toBe(100);
  expect(book.read(3_001).get("q0")?.total).toBe(50);
});
