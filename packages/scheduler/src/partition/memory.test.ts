import { AccountId, FunctionName } from "@sluice/core";
import type { Delivery } from "@sluice/queue";
import type { TaskRow } from "@sluice/store";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { createMemory } from "./memory.ts";

const delivery = (seqs: number[]) => ({
  deliveryCount: 1,
  block: {
    accountId: AccountId("a"),
    functionName: FunctionName("f"),
    queue: "q0",
    lane: 3,
    priority: 2 as const,
    seqs,
    enqueuedAt: 1,
  },
});

const rowOf = (seq: number) => ({ ...delivery([seq]).block, seq, attempt: 1 }) as unknown as TaskRow;
const seqsOf = (deliveries: readonly Delivery[]) => deliveries.map(({ block }) => block.seqs);

test("a block can be acked when all its numbers are finished", () => {
  const memory = createMemory();
  memory.enter(delivery([1, 2]));
  expect(memory.loads[2]).toEqual({ blocks: 1, tasks: 2 });
  memory.forget(1);
  expect(memory.takeAckable()).toEqual([]);
  memory.forget(2);
  expect(seqsOf(memory.takeAckable())).toEqual([[1, 2]]);
  expect(memory.loads[2]).toEqual({ blocks: 0, tasks: 0 });
});

test("a number that is delivered again joins what is there, and both blocks are acked with it", () => {
  const memory = createMemory();
  expect(memory.enter(delivery([1]))?.seqs).toEqual([1]);
  expect(memory.enter(delivery([1, 2]))?.seqs).toEqual([2]);
  memory.forget(1);
  expect(seqsOf(memory.takeAckable())).toEqual([[1]]);
  memory.forget(2);
  expect(seqsOf(memory.takeAckable())).toEqual([[1, 2]]);
});

test("a block that is delivered again as it was is renewed and acked with the first", () => {
  const memory = createMemory();
  memory.enter(delivery([1, 2]));
  expect(memory.enter(delivery([1, 2]))).toBeUndefined();
  expect(seqsOf(memory.openDeliveries(2))).toEqual([
    [1, 2],
    [1, 2],
  ]);
  memory.forget(1);
  memory.forget(2);
  expect(memory.takeAckable()).toHaveLength(2);
});

test("a block that is delivered again and again does not fill the memory", () => {
  const memory = createMemory();
  for (let count = 0; count < 100; count++) memory.enter(delivery([1, 2]));
  expect(memory.openDeliveries(2)).toHaveLength(4);
  expect(memory.loads[2]).toEqual({ blocks: 4, tasks: 8 });
});

test("a number that an agent named is remembered without a block", () => {
  const memory = createMemory();
  memory.activateRow(rowOf(9), "dispatched");
  expect(memory.has(9)).toBe(true);
  expect(memory.enter(delivery([9]))).toBeUndefined();
  memory.forget(9);
  expect(memory.takeAckable()).toHaveLength(1);
  expect(memory.size).toBe(0);
});

test("whatever is repeated and in whatever order it ends, each block is acked exactly once and nothing is left", () => {
  const seqs = fc.uniqueArray(fc.integer({ min: 1, max: 8 }), { minLength: 1, maxLength: 4 });
  const copies = fc.tuple(seqs, fc.integer({ min: 1, max: 3 }));
  const blocks = fc.uniqueArray(copies, { minLength: 1, maxLength: 20, selector: ([list]) => list.join() });
  const order = fc.shuffledSubarray([1, 2, 3, 4, 5, 6, 7, 8], { minLength: 8 });
  const named = fc.uniqueArray(fc.integer({ min: 1, max: 8 }));
  void fc.assert(
    fc.property(blocks, order, named, (lists, finishing, active) => {
      const memory = createMemory();
      const seqLists = lists.flatMap(([list, count]) => Array.from({ length: count }, () => list));
      for (const seq of active) memory.activateRow(rowOf(seq), "dispatched");
      const entered = seqLists.flatMap((seqs) => memory.enter(delivery(seqs))?.seqs ?? []);
      const known = new Set(seqLists.flat());
      for (const seq of active) known.delete(seq);
      expect([...entered].sort()).toEqual([...known].sort());
      const acked: Delivery[] = [];
      for (const [index, seq] of finishing.entries()) {
        memory.forget(seq);
        acked.push(...memory.takeAckable());
        const done = new Set(finishing.slice(0, index + 1));
        const finished = seqLists.filter((each) => each.every((one) => done.has(one)));
        expect(acked).toHaveLength(finished.length);
      }
      expect([memory.size, memory.openDeliveries(2), memory.loads[2]]).toEqual([0, [], { blocks: 0, tasks: 0 }]);
    }),
  );
});

test("a block that entered early is counted once, joined by its delivery, and acked with it", () => {
  const memory = createMemory();
  const { block } = delivery([1, 2]);
  expect(memory.enterEarly(block)?.seqs).toEqual([1, 2]);
  expect(memory.openDeliveries(2)).toEqual([]);
  expect(memory.enter(delivery([1, 2]))).toBeUndefined();
  expect(memory.loads[2]).toEqual({ blocks: 1, tasks: 2 });
  expect(memory.openDeliveries(2)).toHaveLength(1);
  memory.forget(1);
  memory.forget(2);
  expect(seqsOf(memory.takeAckable())).toEqual([[1, 2]]);
  expect(memory.loads[2]).toEqual({ blocks: 0, tasks: 0 });
});

test("a block that entered early and was finished before its delivery leaves nothing, and comes once more", () => {
  const memory = createMemory();
  memory.enterEarly(delivery([1]).block);
  memory.forget(1);
  expect([memory.takeAckable(), memory.size, memory.loads[2]]).toEqual([[], 0, { blocks: 0, tasks: 0 }]);
  expect(memory.enter(delivery([1]))?.seqs).toEqual([1]);
});

test("numbers that are set aside have no turn; they are forgotten with their blocks, or wait again", () => {
  const memory = createMemory();
  memory.enter(delivery([1, 2, 3]));
  const waiting = { origin: delivery([1]).block, flowKey: "a/f" };
  memory.activate(3, waiting);
  expect(memory.setAside([1, 2, 3, 4])).toEqual([1, 2, 4]);
  expect([memory.active(1)?.state, memory.active(3)?.state, memory.activeOf("a/f")]).toEqual(["leaving", "reading", 1]);
  // What is delivered of one meanwhile joins.
  expect(memory.enter(delivery([4]))).toBeUndefined();

  memory.forget(1);
  expect(memory.restore(2)).toMatchObject({ seqs: [2], next: 0 });
  expect(memory.restore(3)).toBeUndefined();
  expect(memory.restore(4)?.seqs).toEqual([4]);
  expect(memory.setAside([9])).toEqual([9]);
  expect(memory.restore(9)).toBeUndefined();
  expect(memory.has(9)).toBe(false);

  for (const seq of [2, 3, 4]) memory.forget(seq);
  expect(seqsOf(memory.takeAckable())).toEqual([[1, 2, 3], [4]]);
  expect([memory.size, memory.activeOf("a/f")]).toEqual([0, 0]);
});
