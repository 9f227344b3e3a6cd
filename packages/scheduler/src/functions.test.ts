import { AccountId, FunctionName, flowKey } from "@sluice/core";
import { FakeClock } from "@sluice/core/testing";
import { createMemorySignals } from "@sluice/queue/memory";
import type { FunctionRecord, Store } from "@sluice/store";
import { expect, test } from "vitest";
import { createFunctionCache, createReservedCache, usableMs } from "./functions.ts";

const flow = (name: string) => ({ accountId: AccountId("main"), functionName: FunctionName(name) });

function startCache() {
  const clock = new FakeClock();
  const signals = createMemorySignals();
  const world = { revision: 1, reads: [] as string[][], beforeAnswer: async () => {} };
  const read = async (flows: ReturnType<typeof flow>[]) => {
    world.reads.push(flows.map(({ functionName }) => functionName));
    const { revision } = world;
    await world.beforeAnswer();
    return flows.map((one) => ({ ...one, revision }) as FunctionRecord);
  };
  const cache = createFunctionCache({ clock, signals, store: { functions: { read } } as unknown as Store });
  const stop = new AbortController();
  void cache.run(stop.signal);
  return { clock, signals, world, cache, stop };
}

test("a record is read once in ten seconds, and at once when it changed", async () => {
  const { clock, signals, world, cache } = startCache();
  await cache.read([flow("f")]);
  await clock.advance(9_999);
  await cache.read([flow("f"), flow("g")]);
  expect(world.reads).toEqual([["f"], ["g"]]);
  signals.send("function", "main/f");
  await clock.settle();
  expect((await cache.read([flow("f"), flow("g")])).size).toBe(2);
  await clock.advance(10_000);
  await cache.read([flow("g")]);
  expect(world.reads).toEqual([["f"], ["g"], ["f"], ["g"]]);
});

test("a hint that comes while others are read does not make a function vanish that is there", async () => {
  const { clock, signals, world, cache } = startCache();
  await cache.read([flow("f")]);
  world.beforeAnswer = async () => {
    signals.send("function", "main/f");
    await clock.settle();
  };
  const answer = await cache.read([flow("f"), flow("g")]);
  expect(answer.get(flowKey(flow("f")))).toMatchObject({ functionName: "f" });
});

test("what is sent may depend on a record only while it is young, and the one that is remembered", async () => {
  const { clock, cache, world } = startCache();
  const first = (await cache.read([flow("f")])).get("main/f");
  await clock.advance(usableMs - 1);
  expect(cache.isUsable(flow("f"), first)).toBe(true);
  await clock.advance(1);
  expect(cache.isUsable(flow("f"), first)).toBe(false);
  world.revision = 2;
  const second = (await cache.read([flow("f")])).get("main/f");
  expect(cache.isUsable(flow("f"), first)).toBe(false);
  expect(cache.isUsable(flow("f"), second)).toBe(true);
});

test("when too many are remembered, what was read longest ago is forgotten, and nothing else", async () => {
  const { clock, cache, world } = startCache();
  const all = Array.from({ length: 10_000 }, (_, index) => flow(`f${index}`));
  await cache.read(all);
  await clock.advance(10_000);
  await cache.read([flow("f0")]);
  await cache.read([flow("new"), flow("f1")]);
  expect(cache.peek(flow("f2"))).toBeUndefined();
  expect(all.filter((each) => cache.peek(each) === undefined)).toHaveLength(1);
  world.reads = [];
  await cache.read([flow("f0"), flow("f1"), flow("new")]);
  expect(world.reads).toEqual([]);
});

test("what is kept for functions is remembered by account, forgotten when one of them changes, and soon by itself", async () => {
  const clock = new FakeClock();
  const signals = createMemorySignals();
  const asked: string[][] = [];
  const reserved = async (ids: readonly AccountId[]) => {
    asked.push([...ids]);
    return ids.includes(AccountId("main")) ? [{ ...flow("f"), slots: 2 }] : [];
  };
  const cache = createReservedCache({ clock, signals, store: { functions: { reserved } } as unknown as Store });
  const stop = new AbortController();
  void cache.run(stop.signal);
  const [main, other] = [AccountId("main"), AccountId("other")];
  await cache.read([main, other]);
  expect(cache.peek(main)).toEqual(new Map([["main/f", 2]]));
  expect(cache.peek(other)).toEqual(new Map());
  signals.send("function", "main/g");
  await clock.settle();
  expect(cache.peek(main)).toBeUndefined();
  await cache.read([main, other]);
  expect(asked).toEqual([["main", "other"], ["main"]]);
  await clock.advance(500);
  expect([cache.peek(main, 500), cache.peek(main)?.size]).toEqual([undefined, 1]);
  stop.abort();
});
