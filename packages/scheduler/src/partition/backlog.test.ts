import { AccountId, createFairOrder, FunctionName, type Priority } from "@sluice/core";
import { aFlow, FakeClock } from "@sluice/core/testing";
import { expect, test } from "vitest";
import { backlogOf } from "./backlog.ts";
import { createMemory, type Waiting } from "./memory.ts";
import { newOverflown } from "./overflow/overflown.ts";

const flow = { accountId: AccountId("red"), functionName: FunctionName("f") };

test("the oldest number that waits is found behind older ones that run", async () => {
  const clock = new FakeClock();
  const memory = createMemory();
  const order = createFairOrder<Waiting>();
  const enter = (seqs: readonly number[], agoMs: number, priority: Priority) => {
    const block = { ...flow, queue: "q0", lane: 0, priority, seqs, enqueuedAt: clock.now() - agoMs };
    const waiting = memory.enter({ block, deliveryCount: 1 });
    if (!waiting) throw new Error("its numbers are new");
    order.add(flow, block.enqueuedAt, waiting, seqs.length);
    return waiting;
  };
  const backlog = () => backlogOf({ clock, memory, order, overflown: new Map() });
  await clock.advance(60_000);
  expect(backlog()).toEqual({ waiting: 0, parked: 0, ageMs: 0 });

  const oldest = enter([1, 2], 9_000, 3);
  const older = enter([3, 4], 5_000, 0);
  enter([5], 1_000, 2);
  expect(backlog()).toEqual({ waiting: 5, parked: 0, ageMs: 9_000 });

  for (const seq of [1, 2]) {
    order.take();
    memory.activate(seq, oldest);
  }
  order.take();
  memory.activate(3, older);
  expect(backlog()).toEqual({ waiting: 2, parked: 0, ageMs: 5_000 });

  order.take();
  memory.activate(4, older);
  memory.forget(4);
  expect(backlog()).toEqual({ waiting: 1, parked: 0, ageMs: 1_000 });
});

test("what is parked because memory was full waits, too", async () => {
  const clock = new FakeClock();
  const options = { clock, memory: createMemory(), order: createFairOrder<Waiting>() };
  const aParked = (account: string, parked: number) =>
    [account, { ...newOverflown(aFlow({ account }), 0), parked }] as const;
  const overflown = new Map([aParked("red", 700), aParked("green", 50)]);
  expect(backlogOf({ ...options, overflown })).toEqual({ waiting: 750, parked: 750, ageMs: 0 });
});
