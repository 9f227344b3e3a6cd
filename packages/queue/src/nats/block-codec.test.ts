import { AccountId, FunctionName } from "@sluice/core";
import { aFlow } from "@sluice/core/testing";
import fc from "fast-check";
import { expect, test } from "vitest";
import { blockSizeMax } from "../index.ts";
import { type BlockPayload, decodeBlock, encodeBlock, payloadBytesMax } from "./block-codec.ts";

const seq = fc.oneof(fc.nat({ max: 300 }), fc.maxSafeNat());
const name = (pattern: RegExp) => fc.stringMatching(pattern).filter((text) => text.length <= 64);
const payload: fc.Arbitrary<BlockPayload> = fc.record({
  accountId: name(/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/).map((text) => AccountId(text)),
  functionName: name(/^[A-Za-z_][A-Za-z0-9_-]{0,63}$/).map((text) => FunctionName(text)),
  seqs: fc.array(seq, { minLength: 1, maxLength: blockSizeMax }),
  enqueuedAt: fc.oneof(fc.maxSafeNat(), fc.nat()),
});

test("what was encoded is decoded, in its order, up to 2^53 - 1", () => {
  fc.assert(
    fc.property(payload, (block) => {
      const bytes = encodeBlock(block);
      expect(bytes.length).toBeLessThanOrEqual(payloadBytesMax);
      expect(decodeBlock(bytes)).toEqual(block);
    }),
  );
});

test("the longest block there can be fits the bound, and little more would", () => {
  const seqs = Array.from({ length: blockSizeMax }, (_, index) => (index % 2) * Number.MAX_SAFE_INTEGER);
  const longest: BlockPayload = {
    accountId: AccountId("a".repeat(64)),
    functionName: FunctionName("f".repeat(64)),
    seqs,
    enqueuedAt: Number.MAX_SAFE_INTEGER,
  };
  const bytes = encodeBlock(longest);
  expect(decodeBlock(bytes)).toEqual(longest);
  expect(bytes.length).toBeGreaterThan(payloadBytesMax - 20);
});

test("256 tasks of one group commit take about a byte each", () => {
  const seqs = Array.from({ length: blockSizeMax }, (_, index) => 2 ** 40 + 3 * index);
  expect(encodeBlock({ ...aFlow(), seqs, enqueuedAt: Date.UTC(2026, 10, 21) }).length).toBeLessThan(300);
});

test("parts of milliseconds are cut off", () => {
  expect(decodeBlock(encodeBlock({ ...aFlow(), seqs: [1], enqueuedAt: 17.9 }))?.enqueuedAt).toBe(17);
});

test("bytes of anything else are refused or decoded to a block that is within its bounds", () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: payloadBytesMax + 10 }),
    fc.tuple(payload, fc.nat(), fc.nat(255)).map(([block, at, value]) => {
      const damaged = encodeBlock(block);
      damaged[at % damaged.length] = value;
      return damaged;
    }),
  );
  fc.assert(
    fc.property(bytes, (damaged) => {
      const block = decodeBlock(damaged);
      if (block === undefined) return;
      expect(block.seqs.length).toBeGreaterThanOrEqual(1);
      expect(block.seqs.length).toBeLessThanOrEqual(blockSizeMax);
      for (const number of [...block.seqs, block.enqueuedAt]) {
        expect(Number.isSafeInteger(number) && number >= 0).toBe(true);
      }
      // One block has one encoding but for numbers with needless digits, which decode to the same.
      expect(decodeBlock(encodeBlock(block))).toEqual(block);
    }),
    { numRuns: 1_000 },
  );
});

test("every truncation and every addition is refused", () => {
  const bytes = encodeBlock({ ...aFlow(), seqs: [1, 500, 7], enqueuedAt: 1_000 });
  for (let length = 0; length < bytes.length; length++) expect(decodeBlock(bytes.subarray(0, length))).toBeUndefined();
  expect(decodeBlock(Uint8Array.from([...bytes, 0]))).toBeUndefined();
});

test("another version, a name that is none, no tasks, and too many tasks are refused", () => {
  const start = [1, 0, 1, 97, 1, 102];
  expect(decodeBlock(Uint8Array.from([...start, 1, 5]))).toMatchObject({ seqs: [5] });
  const malformed = [
    [2, 0, 1, 97, 1, 102, 1, 5],
    [1, 0, 0, 1, 102, 1, 5],
    [1, 0, 1, 46, 1, 102, 1, 5],
    [...start, 0],
    [...start, 0x81, 2, 5, ...new Array<number>(256).fill(0)],
    [...start, 2, 5, 0x46],
    [...start, 1, ...new Array<number>(8).fill(0xff), 0],
  ];
  for (const bytes of malformed) expect(decodeBlock(Uint8Array.from(bytes))).toBeUndefined();
});
