import fc from "fast-check";
import { expect, test } from "vitest";
import { createAgentShards, startShardSize } from "./agent-shards.ts";
import { shardOf } from "./shuffle-shard.ts";

const agents = (count: number) => Array.from({ length: count }, (_, index) => `agent-${index}`);
const ids = fc.uniqueArray(fc.stringMatching(/^[a-z0-9-]{1,12}$/), { maxLength: 60 });

test("the shards are those of `shardOf`, selected or sorted", () => {
  fc.assert(
    fc.property(ids, fc.string(), fc.nat(80), (all, key, size) => {
      const shards = createAgentShards(all);
      expect(shards.first(key, size).map((index) => shards.agentIds[index])).toEqual(shardOf(key, all, size));
    }),
  );
});

test("a shard that grows keeps the agents that it has", () => {
  const shards = createAgentShards(agents(100));
  for (let size = 1; size < 100; size++) {
    expect(shards.first("main/echo", size + 1).slice(0, size)).toEqual(shards.first("main/echo", size));
  }
});

test("a shard starts with all of a few agents, and with the root of many", () => {
  expect([0, 1, 3, 4, 5, 12, 16, 17, 300].map(startShardSize)).toEqual([0, 1, 3, 4, 4, 4, 4, 5, 18]);
});

test("many flows load the agents evenly", () => {
  const shards = createAgentShards(agents(100));
  const load = new Map<number, number>();
  for (let flow = 0; flow < 5_000; flow++) {
    for (const index of shards.first(`account-${flow % 50}/f${flow}`, 10)) load.set(index, (load.get(index) ?? 0) + 1);
  }
  expect(load.size).toBe(100);
  expect(Math.min(...load.values())).toBeGreaterThan(500 * 0.8);
  expect(Math.max(...load.values())).toBeLessThan(500 * 1.2);
});
