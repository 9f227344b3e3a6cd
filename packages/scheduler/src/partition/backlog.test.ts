import { AccountId, createFairOrder, FunctionName, type Priority } from "@sluice/core";
import { FakeClock } from "@sluice/core/testing";
import { expect, test } from "vitest";
import { backlogOf } from "./backlog.ts";
import { createMemory, type Waiting } from "./memory.ts";

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
  await clock.advance(60_000);
  expect(backlogOf({ clock, memory, order })).toEqual({ waiting: 0, ageMs: 0 });

  const oldest = enter([1, 2], 9_000, 3);
  const older = enter([3, 4], 5_000, 0);
  enter([5], 1_000, 2);
  expect(backlogOf({ clock, memory, order })).toEqual({ waiting: 5, ageMs: 9_000 });

  for (const seq of [1, 2]) {
    order.take();
    memory.activate(seq, oldest);
  }
  order.take();
  memory.activate(3, older);
  expect(backlogOf({ clock, memory, order })).toEqual({ waiting: 2, ageMs: 5_000 });

  order.take();
  memory.activate(4, older);
  memory.forget(4);
  expect(backlogOf({ clock, memory, order })).toEqual({ waiting: 1, ageMs: 1_000 });
});
