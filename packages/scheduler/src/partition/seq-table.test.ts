import * as fc from "fast-check";
import { expect, test } from "vitest";
import { SeqTable } from "./seq-table.ts";

/** Few enough to meet again, neighbours, and beyond 32 bits. */
const seqs = fc.oneof(
  fc.integer({ min: 0, max: 300 }),
  fc.integer({ min: 0, max: 40 }).map((step) => 2 ** 32 * step + 7),
  fc.integer({ min: 0, max: 40 }).map((step) => 2 ** 52 + step),
);

test("it answers as a Map does, whatever is set and taken", () => {
  void fc.assert(
    fc.property(fc.array(fc.tuple(seqs, fc.option(fc.nat(1_000))), { maxLength: 600 }), (steps) => {
      const table = new SeqTable();
      const model = new Map<number, number>();
      for (const [seq, value] of steps) {
        if (value === null) {
          expect(table.take(seq)).toBe(model.get(seq));
          model.delete(seq);
        } else {
          expect(table.add(seq, value)).toBe(model.get(seq));
          if (model.has(seq)) table.set(seq, value);
          model.set(seq, value);
        }
        expect(table.size).toBe(model.size);
      }
      for (const [seq] of steps) expect([table.get(seq), table.has(seq)]).toEqual([model.get(seq), model.has(seq)]);
    }),
  );
});

test("it shrinks when most is gone, and keeps the rest", () => {
  const table = new SeqTable();
  for (let seq = 0; seq < 10_000; seq++) table.add(seq, seq);
  for (let seq = 0; seq < 10_000; seq++) if (seq % 100 !== 0) table.take(seq);
  expect(table.size).toBe(100);
  for (let seq = 0; seq < 10_000; seq += 100) expect(table.get(seq)).toBe(seq);
});
