import type { SettleWrite } from "@sluice/store";
import { expect, test } from "vitest";
import { PendingWrites } from "./pending-writes.ts";

const MiB = 1024 * 1024;
const pending = (seq: number, bytes = 0) => ({
  write: { kind: "settle", seq, result: new Uint8Array(bytes), error: undefined } as unknown as SettleWrite,
  confirmTo: undefined,
});
const seqsOf = (group: readonly { readonly write: { readonly seq: number } }[]) => group.map(({ write }) => write.seq);

test("the oldest are taken first; what could not be written comes first again", () => {
  const writes = new PendingWrites();
  for (const seq of [1, 2, 3]) writes.push(pending(seq));
  const group = writes.take(2);
  expect([seqsOf(group), writes.size]).toEqual([[1, 2], 1]);
  writes.putBack(group);
  expect(seqsOf(writes.take(10))).toEqual([1, 2, 3]);
});

test("a group is no larger than one statement should be, but never empty", () => {
  const writes = new PendingWrites();
  for (const seq of [1, 2, 3]) writes.push(pending(seq, 2 * MiB));
  writes.push(pending(4, 6 * MiB));
  expect([writes.take(9), writes.take(9), writes.take(9), writes.take(9)].map(seqsOf)).toEqual([[1, 2], [3], [4], []]);
});

test("it is full by count and by bytes, until enough is taken", () => {
  const writes = new PendingWrites();
  for (let seq = 0; seq < 2_048; seq++) writes.push(pending(seq));
  expect(writes.isFull).toBe(true);
  writes.take(1);
  expect(writes.isFull).toBe(false);
  for (let seq = 0; seq < 4; seq++) writes.push(pending(seq, 4 * MiB));
  expect(writes.isFull).toBe(true);
});
