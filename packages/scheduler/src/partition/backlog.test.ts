import { AccountId, createFairOrder, type Flow, FunctionName, type Priority } from "@sluice/core";
import { aFlow, FakeClock } from "@sluice/core/testing";
import { expect, test } from "vitest";
import { type BacklogContext, backlogOf } from "./backlog.ts";
import type { PartitionContext } from "./context.ts";
import { allGates, type Gate, type GatedFlow } from "./gates.ts";
import { createMemory, type Waiting } from "./memory.ts";
import { newOverflown } from "./overflow/overflown.ts";
import { type DispatchOptions, startDispatching, unrouted } from "./testing.ts";

const flow = { accountId: AccountId("red"), functionName: FunctionName("f") };

test("the oldest number that waits is found behind older ones that run", async () => {
  const { clock, context, enter } = aPartition();
  const { memory, order } = context;
  await clock.advance(60_000);
  expect(backlogOf(context)).toEqual(allReady({ waiting: 0, parked: 0, ageMs: 0 }));

  const oldest = enter(flow, [1, 2], { agoMs: 9_000, priority: 3 });
  const older = enter(flow, [3, 4], { agoMs: 5_000, priority: 0 });
  enter(flow, [5], { agoMs: 1_000 });
  expect(backlogOf(context)).toEqual(allReady({ waiting: 5, parked: 0, ageMs: 9_000 }));

  for (const seq of [1, 2]) {
    order.take();
    memory.activate(seq, oldest);
  }
  order.take();
  memory.activate(3, older);
  expect(backlogOf(context)).toEqual(allReady({ waiting: 2, parked: 0, ageMs: 5_000 }));

  order.take();
  memory.activate(4, older);
  memory.forget(4);
  expect(backlogOf(context)).toEqual(allReady({ waiting: 1, parked: 0, ageMs: 1_000 }));
});

test("what is parked because memory was full waits, too", () => {
  const { context } = aPartition();
  for (const [account, parked] of [["red", 700] as const, ["green", 50] as const])
    context.overflown.set(`${account}/f`, { ...newOverflown(aFlow({ account }), 0), parked });
  expect(backlogOf(context)).toEqual(allReady({ waiting: 750, parked: 750, ageMs: 0 }));
});

test("what a gate holds back waits and is not ready, in memory and parked", async () => {
  const { clock, context, enter, hold } = aPartition();
  const [slow, other] = [aFlow({ account: "slow" }), aFlow({ account: "other" })];
  const [all, parkedOnly] = [`${slow.accountId}/${slow.functionName}`, aFlow({ account: "parked" })];
  await clock.advance(60_000);
  enter(slow, [1, 2, 3], { agoMs: 50_000 });
  enter(other, [4, 5], { agoMs: 300 });
  context.overflown.set(all, { ...newOverflown(slow, 0), parked: 70 });
  context.overflown.set("parked/f", { ...newOverflown(parkedOnly, 0), parked: 9 });
  expect(backlogOf(context).ready).toEqual({ waiting: 84, ageMs: 50_000 });
  hold("slow");
  const rest = { waiting: 84, parked: 79, ageMs: 50_000 };
  expect(backlogOf(context)).toEqual({ ...rest, ready: { waiting: 11, ageMs: 300 } });
  hold("slow", "parked");
  expect(backlogOf(context)).toEqual({ ...rest, ready: { waiting: 2, ageMs: 300 } });
  hold("slow", "parked", "other");
  expect(backlogOf(context)).toEqual({ ...rest, ready: { waiting: 0, ageMs: 0 } });
});

test("what has room again is ready after a while, and as old as if it had come then", async () => {
  const { clock, context, enter, hold } = aPartition();
  await clock.advance(60_000);
  enter(flow, [1, 2, 3], { agoMs: 50_000 });
  hold("red");
  expect(backlogOf(context).ready).toEqual({ waiting: 0, ageMs: 0 });
  hold();
  await clock.advance(1_900);
  expect(backlogOf(context).ready).toEqual({ waiting: 0, ageMs: 1_900 });
  await clock.advance(100);
  expect(backlogOf(context)).toEqual({ waiting: 3, parked: 0, ageMs: 52_000, ready: { waiting: 3, ageMs: 2_000 } });
  enter(flow, [4], { agoMs: 500 });
  context.order.remove(flow, ({ seqs }) => seqs.length === 3);
  for (const seq of [1, 2, 3]) context.memory.forget(seq);
  expect(backlogOf(context)).toEqual(allReady({ waiting: 1, parked: 0, ageMs: 500 }));
});

test("flows of which nothing waits any more are not remembered", () => {
  const { context, enter, hold } = aPartition();
  enter(flow, [1]);
  hold("red");
  backlogOf(context);
  expect([...context.heldBackAt.keys()]).toEqual(["red/f"]);
  context.order.take();
  backlogOf(context);
  expect([...context.heldBackAt.keys()]).toEqual([]);
});

/** Of a flow that may start so many per second, in batches that take 200 ms each; looked at when it has room. */
async function atARate(perSecond: number, options: DispatchOptions = {}) {
  const { clock, context, deliver } = startDispatching({ slots: 100_000, readMs: 200, ...options });
  let taken = 0;
  const gate: Gate = {
    room: () => Math.floor((clock.monotonic() * perSecond) / 1_000) - taken,
    onPicked: () => {
      taken += 1;
    },
    dueAt: () => clock.monotonic() + 10,
  };
  Object.assign(context, { gates: allGates([gate]) });
  deliver(6_000);
  await clock.advance(3_150);
  expect(gate.room({} as GatedFlow)).toBeGreaterThan(0);
  const { waiting, ready } = backlogOf(context);
  expect(waiting).toBeGreaterThan(1_000);
  // The last batch ends.
  context.draining = true;
  await clock.advance(200);
  return ready.waiting === waiting ? "ready" : "held back";
}

test("a flow of which all is taken that its gates let through is held back, although it has room now and then", async () => {
  expect(await atARate(100)).toBe("held back");
});

test("a flow that waits for its owner is ready, and so is one that waits for agents", async () => {
  // More than a batch may have comes during each.
  expect(await atARate(20_000)).toBe("ready");
  expect(await atARate(100, { slots: 50 })).toBe("ready");
  expect(await atARate(100, { instancesMax: 0 })).toBe("ready");
});

function aPartition() {
  const clock = new FakeClock();
  const memory = createMemory();
  const order = createFairOrder<Waiting>();
  let held: readonly string[] = [];
  const nobody = { peek: () => undefined };
  const context = {
    ...{ clock, memory, order, overflown: new Map(), heldBackAt: new Map(), functions: nobody, accounts: nobody },
    ...{ routes: { of: () => unrouted, ageMs: () => 0 }, queues: ["q0"], owner: { queue: "q0", prefix: "", epoch: 1 } },
    gates: allGates([{ room: ({ origin }) => (held.includes(origin.accountId) ? 0 : Number.POSITIVE_INFINITY) }]),
  } as unknown as BacklogContext & Pick<PartitionContext, "overflown">;
  return {
    ...{ clock, context },
    /** No others. */
    hold(...accounts: string[]) {
      held = accounts;
    },
    enter(of: Flow, seqs: readonly number[], { agoMs = 0, priority = 2 as Priority } = {}) {
      const block = { ...of, queue: "q0", lane: 0, priority, seqs, enqueuedAt: clock.now() - agoMs };
      const waiting = memory.enter({ block, deliveryCount: 1 });
      if (!waiting) throw new Error("its numbers are new");
      order.add(of, block.enqueuedAt, waiting, seqs.length);
      return waiting;
    },
  };
}

function allReady<T extends { readonly waiting: number; readonly ageMs: number }>(backlog: T) {
  return { ...backlog, ready: { waiting: backlog.waiting, ageMs: backlog.ageMs } };
}
