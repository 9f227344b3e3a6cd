import { aFlow } from "@sluice/core/testing";
import type { Block } from "@sluice/queue";
import { expect, test } from "vitest";
import { isOurs } from "./pull.ts";

const owner = { queue: "q0", prefix: "0", epoch: 5 };
const block: Block = { ...aFlow(), queue: "q0", lane: 3, priority: 2, seqs: [1], enqueuedAt: 0 };

test("a block of another queue, priority or lane is nobody's who gets it by mistake (simulation seed 1000)", () => {
  expect(isOurs(block, owner, 2)).toBe(true);
  expect(isOurs({ ...block, queue: "q1" }, owner, 2)).toBe(false);
  expect(isOurs({ ...block, priority: 1 }, owner, 2)).toBe(false);
  expect(isOurs({ ...block, lane: 16 }, owner, 2)).toBe(false);
});
