import { aFlow } from "@sluice/core/testing";
import { blockSizeMax } from "@sluice/queue";
import type { Announcement } from "@sluice/store";
import { expect, test } from "vitest";
import { blocksOf } from "./announce.ts";

function row(seq: number, enqueuedAt: number, others: Partial<Announcement> = {}): Announcement {
  return { ...aFlow(), seq, lane: 1, priority: 2, enqueuedAt, ...others };
}
const seqsOf = (rows: readonly Announcement[]) => blocksOf("q0", rows).map(({ seqs }) => seqs);

test("rows of one flow, lane and priority share blocks of bounded size, the oldest first", () => {
  const rows = Array.from({ length: blockSizeMax + 2 }, (_, index) => row(1_000 - index, index));
  const [full, rest, ...others] = blocksOf("q0", [...rows].reverse());
  expect(full).toMatchObject({ queue: "q0", ...aFlow(), lane: 1, priority: 2, enqueuedAt: 0 });
  expect(full?.seqs).toEqual(rows.slice(0, blockSizeMax).map(({ seq }) => seq));
  expect(rest).toMatchObject({ enqueuedAt: blockSizeMax, seqs: [1_000 - blockSizeMax, 999 - blockSizeMax] });
  expect(others).toEqual([]);
});

test("rows of other flows, lanes or priorities do not share a block", () => {
  const others = [{ functionName: aFlow({ account: "x" }).functionName, accountId: aFlow({ account: "x" }).accountId }];
  const rows = [row(1, 0), row(2, 0, { lane: 2 }), row(3, 0, { priority: 3 }), row(4, 0, others[0]), row(5, 0)];
  expect(seqsOf(rows)).toEqual([[1, 5], [2], [3], [4]]);
});

test("rows that were submitted far apart do not share a block, which has one place in the order", () => {
  expect(seqsOf([row(1, 0), row(2, 12_000), row(3, 5_000), row(4, 5_001), row(5, 10_001)])).toEqual([
    [1, 3],
    [4, 5],
    [2],
  ]);
});
