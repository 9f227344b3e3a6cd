import { AccountId, FunctionName } from "@sluice/core";
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

test("a block can be acked when all its numbers are finished", () => {
  const memory = createMemory();
  memory.enter(delivery([1, 2]));
  memory.forget(1);
  expect(memory.takeAckable()).toEqual([]);
  memory.forget(2);
  expect(memory.takeAckable().map(({ delivery }) => delivery.block.seqs)).toEqual([[1, 2]]);
  expect(memory.blockCountOf(2)).toBe(0);
});

test("a number that is delivered again joins what is there, and both blocks are acked with it", () => {
  const memory = createMemory();
  expect(memory.enter(delivery([1])).map(({ seq }) => seq)).toEqual([1]);
  expect(memory.enter(delivery([1, 2])).map(({ seq }) => seq)).toEqual([2]);
  memory.forget(1);
  expect(memory.takeAckable()).toHaveLength(1);
  memory.forget(2);
  expect(memory.takeAckable()).toHaveLength(1);
});

test("a number that an agent named is remembered without a block", () => {
  const memory = createMemory();
  const [waiting] = createMemory().enter(delivery([9]));
  if (!waiting) throw new Error("nothing entered");
  memory.activate(waiting, "dispatched");
  expect(memory.has(9)).toBe(true);
  expect(memory.enter(delivery([9]))).toEqual([]);
  memory.forget(9);
  expect(memory.takeAckable()).toHaveLength(1);
  expect(memory.size).toBe(0);
});

test("whatever is repeated and in whatever order it ends, each block is acked exactly once and nothing is left", () => {
  const blocks = fc.array(fc.uniqueArray(fc.integer({ min: 1, max: 8 }), { minLength: 1 }), { minLength: 1 });
  void fc.assert(
    fc.property(blocks, (seqLists) => {
      const memory = createMemory();
      for (const seqs of seqLists) memory.enter(delivery(seqs));
      let acked = 0;
      for (let seq = 1; seq <= 8; seq++) {
        memory.forget(seq);
        acked += memory.takeAckable().length;
      }
      return acked === seqLists.length && memory.size === 0 && [...memory.openBlocks()].length === 0;
    }),
  );
});
