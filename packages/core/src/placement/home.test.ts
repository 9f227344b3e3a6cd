import fc from "fast-check";
import { expect, test } from "vitest";
import { AccountId, type Flow, FunctionName } from "../ids.ts";
import { homeOf, type Limits } from "./home.ts";
import { laneCount } from "./partition.ts";
import { sharedQueues } from "./route.ts";
import { queuesOfAccount } from "./shuffle-shard.ts";

const none: Limits = { concurrencyMax: 0, rateMax: 0 };
const one: Limits = { concurrencyMax: 1, rateMax: 0 };
const slow: Limits = { concurrencyMax: 0, rateMax: 5 };
const flow = (functionName: string): Flow => ({
  accountId: AccountId("acme"),
  functionName: FunctionName(functionName),
});

test("a flow without limits has no home", () => {
  expect(homeOf(flow("f"), { function: none, account: undefined })).toBeUndefined();
  expect(homeOf(flow("f"), { function: none, account: none, dedicatedQueue: "d1" })).toBeUndefined();
});

test("a limited flow lives in the first queue of its account, or in its own one", () => {
  const [first] = queuesOfAccount("acme", sharedQueues());
  for (const limits of [one, slow]) {
    expect(homeOf(flow("f"), { function: limits, account: undefined })?.queue).toBe(first);
    expect(homeOf(flow("f"), { function: limits, account: none, dedicatedQueue: "d1" })?.queue).toBe("d1");
  }
});

test("all flows of a limited account share one lane, whatever they ask for themselves", () => {
  const homes = ["f", "g", "h"].flatMap((name) =>
    [none, one].map((limits) => homeOf(flow(name), { function: limits, account: slow, dedicatedQueue: "d1" })),
  );
  expect(new Set(homes.map((home) => JSON.stringify(home))).size).toBe(1);
  expect(sharedQueues()).toContain(homes[0]?.queue);
});

test("the homes of many flows spread over the lanes", () => {
  const lanes = new Map<number, number>();
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 1_000_000 }), (id) => {
      const lane = homeOf(flow(`f${id}`), { function: one, account: undefined })?.lane ?? -1;
      lanes.set(lane, (lanes.get(lane) ?? 0) + 1);
      return lane >= 0 && lane < laneCount;
    }),
    { numRuns: 2_000, seed: 1 },
  );
  expect(lanes.size).toBe(laneCount);
});
