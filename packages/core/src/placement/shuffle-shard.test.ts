import fc from "fast-check";
import { expect, test } from "vitest";
import { aFlow } from "../testing/index.ts";
import { dedicatedQueueOf, sharedQueues } from "./route.ts";
import { queuesOfAccount, shardOf } from "./shuffle-shard.ts";

const agents = (count: number) => Array.from({ length: count }, (_, index) => `agent-${index}`);
const ids = fc.uniqueArray(fc.stringMatching(/^[a-z0-9-]{1,12}$/), { maxLength: 20 });

test("a shard depends on the set of agents, not on its order", () => {
  fc.assert(
    fc.property(ids, fc.string(), fc.nat(25), (all, key, size) => {
      const shard = shardOf(key, all, size);
      expect(shardOf(key, [...all].reverse(), size)).toEqual(shard);
      return shard.length === Math.min(size, all.length) && new Set(shard).size === shard.length;
    }),
  );
});

test("an agent that comes or goes changes at most one place of a shard", () => {
  fc.assert(
    fc.property(ids, fc.string(), fc.integer({ min: 1, max: 8 }), (all, key, size) => {
      const before = shardOf(key, all, size);
      const kept = shardOf(key, [...all, "newcomer"], size).filter((id) => before.includes(id));
      return kept.length >= Math.min(before.length, size - 1);
    }),
  );
});

test("flows are spread evenly over the agents", () => {
  const load = new Map<string, number>(agents(10).map((id) => [id, 0]));
  for (let flow = 0; flow < 2_000; flow++) {
    for (const id of shardOf(`main/f${flow}`, agents(10), 3)) load.set(id, (load.get(id) ?? 0) + 1);
  }
  expect(Math.min(...load.values())).toBeGreaterThan(520);
  expect(Math.max(...load.values())).toBeLessThan(680);
});

test("few flows share their whole shard with a given one", () => {
  const noisy = new Set(shardOf("noisy/f", agents(20), 4));
  const shared = Array.from({ length: 2_000 }, (_, flow) => shardOf(`a${flow}/f`, agents(20), 4)).filter((shard) =>
    shard.every((id) => noisy.has(id)),
  );
  expect(shared.length).toBeLessThan(5);
});

test("an account has two queues of its own among the shared ones", () => {
  const pairs = Array.from({ length: 100 }, (_, account) => queuesOfAccount(`a${account}`, sharedQueues()));
  expect(pairs.every(([first, second]) => first !== undefined && second !== undefined && first !== second)).toBe(true);
  expect(new Set(pairs.map(([first]) => first)).size).toBe(8);
});

test("queues and shards never change: running clusters depend on them", () => {
  expect(["main", "acme", "default"].map((account) => queuesOfAccount(account, sharedQueues()))).toMatchInlineSnapshot(`
    [
      [
        "q5",
        "q3",
      ],
      [
        "q3",
        "q7",
      ],
      [
        "q1",
        "q2",
      ],
    ]
  `);
  expect(dedicatedQueueOf(aFlow())).toMatchInlineSnapshot(`"d49adf32f260e5bc4"`);
  expect(shardOf("main/echo", agents(10), 3)).toMatchInlineSnapshot(`
    [
      "agent-7",
      "agent-6",
      "agent-5",
    ]
  `);
});
