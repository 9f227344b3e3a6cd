import { dedicatedQueueOf } from "@sluice/core";
import { aFlow, FakeClock } from "@sluice/core/testing";
import type { FlowQuestion } from "@sluice/protocol";
import { silentLogger } from "@sluice/runtime";
import { expect, onTestFinished, test } from "vitest";
import type { AgentLink } from "../agents/link.ts";
import { usableMs } from "../functions.ts";
import { createWakes, type PartitionContext } from "./context.ts";
import { createHomes, routesKnownAt } from "./homes.ts";
import type { FlowLimits, KnownRoute } from "./limits.ts";
import { unrouted } from "./testing.ts";

const flow = aFlow();
const limited: FlowLimits = { home: undefined, limits: [], version: [], route: unrouted };
const routed = (unchangedMs: number): KnownRoute => ({ ...unrouted, unchangedMs, wasRouted: true });
const shared = { queue: "q0", lane: 3 };
const own = { queue: "of-echo", lane: 3 };
/** The longest that anybody goes by what was. */
const waitMs = 15_000;

/** One agent, that answers only when told to. */
function startHomes() {
  const clock = new FakeClock();
  const asked: FlowQuestion[] = [];
  const ask = (questions: FlowQuestion[]) => asked.push(...questions);
  const link = { agentId: "a1", answersFlows: true, ask } as unknown as AgentLink;
  const agents = { links: [link], listed: async () => ["a1"] };
  const used: string[] = [];
  const store = { lanes: { queuesInUse: async () => used } };
  const deps = { clock, agents, store, ...createWakes(clock), key: "q0/-", log: silentLogger };
  const homes = createHomes(() => deps as unknown as PartitionContext);
  const stop = new AbortController();
  const done = homes.run(stop.signal);
  onTestFinished(async () => {
    stop.abort();
    await done;
  });
  return {
    ...{ clock, asked, homes, used },
    answer: (running = 0) =>
      homes.answered(link, [{ question: asked.at(-1) as FlowQuestion, runningElsewhere: running }]),
  };
}

/** How long after the first task of a flow the agents are asked, in steps of 100 ms. */
async function askedAfter(limitedForMs: number): Promise<number> {
  const { clock, asked, homes } = startHomes();
  await clock.advance(100_000);
  const version = [clock.now() - limitedForMs, 0];
  expect(homes.runningElsewhere(flow, { ...limited, version }, shared)).toBe(Number.POSITIVE_INFINITY);
  await clock.advance(0);
  let ms = 0;
  for (; asked.length === 0 && ms < 60_000; ms += 100) await clock.advance(100);
  return ms;
}

test("limits that have just come are waited for until nobody goes by what was before them", async () => {
  for (const ageMs of [0, 10_000, 20_000, -5_000]) {
    expect(await askedAfter(ageMs)).toBeGreaterThan(usableMs * 1.02 + 1_000);
    expect(await askedAfter(ageMs)).toBeLessThanOrEqual(waitMs);
  }
});

test("of the wait is left what has not passed since the change was committed for certain, not all of it", async () => {
  expect(await askedAfter(26_000)).toBe(9_600);
  expect(await askedAfter(35_000)).toBe(600);
});

test("agents are asked at once when nobody can go by what was before a change, although nothing was known of the flow", async () => {
  expect(await askedAfter(36_000)).toBe(0);
  expect(await askedAfter(40_000)).toBe(0);
});

test("what was dispatched before a route changed is refused by then, and nothing that may be sent after the question", async () => {
  const { clock, asked, homes } = startHomes();
  const changedAt = clock.now();
  const routedAt = (unchangedMs: number) =>
    homes.runningElsewhere(flow, { ...limited, route: routed(unchangedMs) }, own);
  await clock.advance(500);
  expect(routedAt(500)).toBe(Number.POSITIVE_INFINITY);
  while (asked.length === 0) await clock.advance(100);
  const floor = asked[0]?.routesKnownAtMs ?? 0;
  expect(asked[0]).toMatchObject({ ...own, functionName: flow.functionName, limitsVersion: [] });
  // Owners may differ by a second about the time.
  expect(floor).toBeGreaterThanOrEqual(changedAt + 1_000);
  const oldest = routesKnownAt({ clock, routes: { of: () => unrouted, ageMs: () => usableMs } });
  expect(floor).toBeLessThanOrEqual(oldest - 1_000);
});

test("one that was limited so from the beginning is asked about at once: etcd may have lost a queue of its own", async () => {
  const { clock, asked, homes, answer } = startHomes();
  const first = clock.now();
  await clock.advance(2_000);
  const elsewhere = () =>
    homes.runningElsewhere(flow, { ...limited, route: { ...unrouted, unchangedMs: 2_000 } }, shared);
  expect(elsewhere()).toBe(Number.POSITIVE_INFINITY);
  await clock.advance(0);
  // What this owner sends by its first answer must pass.
  expect(asked).toMatchObject([{ ...shared, limitsVersion: [], routesKnownAtMs: first - 2_500 }]);
  answer(2);
  expect(elsewhere()).toBe(2);
  await clock.advance(1_000);
  answer(0);
  expect(elsewhere()).toBe(0);
});

test("later the agents are asked only if something unfinished lies in the queue that it may have had", async () => {
  const { clock, asked, homes, used, answer } = startHomes();
  const elsewhere = (of = flow) => homes.runningElsewhere(of, { ...limited, route: unrouted }, shared);
  expect(elsewhere()).toBe(Number.POSITIVE_INFINITY);
  await clock.advance(0);
  expect(elsewhere()).toBe(0);
  await clock.advance(5_000);
  expect(asked).toEqual([]);

  const other = aFlow({ function: "other" });
  used.push(dedicatedQueueOf(other));
  elsewhere(other);
  await clock.advance(0);
  expect(asked).toMatchObject([{ functionName: "other" }]);
  expect(elsewhere(other)).toBe(Number.POSITIVE_INFINITY);
  answer(1);
  expect(elsewhere(other)).toBe(1);
});

test("agents are asked once a second, however many flows are found out about", async () => {
  const { clock, asked, homes, answer } = startHomes();
  const route = { ...unrouted, unchangedMs: 0 };
  homes.runningElsewhere(flow, { ...limited, route }, shared);
  await clock.advance(0);
  answer(1);
  for (let ms = 0; ms < 900; ms += 100) {
    homes.runningElsewhere(aFlow({ function: `other-${ms}` }), { ...limited, route }, shared);
    await clock.advance(100);
  }
  expect(asked.filter(({ functionName }) => functionName === flow.functionName)).toHaveLength(1);
  await clock.advance(200);
  expect(asked.filter(({ functionName }) => functionName === flow.functionName)).toHaveLength(2);
});

test("an account's limits have nothing to do with routes", async () => {
  const { clock, asked, homes } = startHomes();
  const limits = [{ scope: "account", key: "main", concurrencyMax: 1, rateMax: 0, rateBurst: 0 }] as const;
  expect(homes.runningElsewhere(flow, { ...limited, limits }, shared)).toBe(Number.POSITIVE_INFINITY);
  await clock.advance(0);
  expect(asked).toMatchObject([{ ...shared, functionName: "" }]);
  expect(asked[0]).not.toHaveProperty("routesKnownAtMs");
});

test("a flow that had a queue of its own, and has come back, is asked about anew", async () => {
  const { clock, asked, homes, answer } = startHomes();
  const known = { ...limited, version: [1, 0] };
  const elsewhere = (unchangedMs?: number) => {
    const route = unchangedMs === undefined ? unrouted : routed(unchangedMs);
    return homes.runningElsewhere(flow, { ...known, route }, shared);
  };
  elsewhere();
  await clock.advance(waitMs);
  answer();
  expect(elsewhere()).toBe(0);
  // Elsewhere in the meantime.
  await clock.advance(60_000);
  expect(elsewhere(100)).toBe(Number.POSITIVE_INFINITY);
  await clock.advance(waitMs);
  expect(asked.at(-1)?.routesKnownAtMs).toBeGreaterThan(clock.now() - waitMs);
  answer(1);
  expect(elsewhere(100 + waitMs)).toBe(1);
});
