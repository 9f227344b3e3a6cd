import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AttemptOutcome, type AttemptRef, OutcomeKind } from "@sluice/protocol";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openFileJournal } from "./file-journal.ts";
import { createMemoryJournal, type Journal, journalKey } from "./journal.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-journal-"));
});
afterEach(() => rmSync(folder, { recursive: true }));
const path = () => join(folder, "data", "attempts.journal");
const ref = (seq: number, attempt = 1) => ({ seq, attempt, queue: "q 1", lane: 3 });

test("a journal that does not exist has nothing to recover", () => {
  using journal = openFileJournal(path());
  expect(refsOf(journal)).toEqual([]);
});

test("what was started and not confirmed is recovered, without a proper end", () => {
  const killed = openFileJournal(path());
  start(killed, [ref(1), ref(2), ref(3, 2)]);
  killed.accepted([ref(9)]);
  killed.confirmed([ref(2)]);
  using journal = openFileJournal(path());
  expect(refsOf(journal)).toEqual([ref(1), ref(3, 2)]);
});

test("what starts and ends is written by a flush, together, and at the latest with the next batch", () => {
  using journal = openFileJournal(path());
  const text = () => readFileSync(path(), "utf8");
  journal.accepted([ref(1), ref(2)]);
  const accepted = text();
  journal.started(ref(1));
  journal.ended(ref(1), AttemptOutcome.fromPartial({ kind: OutcomeKind.SUCCEEDED }));
  expect(text()).toBe(accepted);
  journal.flush();
  expect(text()).toMatch(/\n\*1 1\n=1 1 \S+\n$/);
  journal.started(ref(2));
  journal.confirmed([ref(1)]);
  expect(text()).toMatch(/\n\*2 1\n-1 1\n$/);
});

test("an outcome survives, also a compaction, and a torn one is none", () => {
  const outcome = AttemptOutcome.fromPartial({ kind: OutcomeKind.SUCCEEDED, result: Buffer.from([0, 10, 255]) });
  const killed = openFileJournal(path());
  start(killed, [ref(1), ref(2)]);
  killed.ended(ref(1), outcome);
  killed.flush();
  openFileJournal(path())[Symbol.dispose]();
  const again = openFileJournal(path());
  again.ended(ref(2), outcome);
  again.flush();
  truncateSync(path(), statSync(path()).size - 1);
  using journal = openFileJournal(path());
  expect(journal.recover()).toEqual([
    { ref: ref(1), outcome },
    { ref: ref(2), outcome: undefined },
  ]);
});

test("what was recovered stays until it is confirmed", () => {
  start(openFileJournal(path()), [ref(1), ref(2)]);
  openFileJournal(path()).confirmed([ref(1)]);
  using journal = openFileJournal(path());
  expect(refsOf(journal)).toEqual([ref(2)]);
});

test.each([1, 2, 3, 6, 10])("a last line that lost %d bytes is as if it had not been written", (bytes) => {
  start(openFileJournal(path()), [ref(1)]);
  start(openFileJournal(path()), [ref(234, 12)]);
  truncateSync(path(), statSync(path()).size - bytes);
  {
    using journal = openFileJournal(path());
    expect(refsOf(journal)).toEqual([ref(1)]);
    start(journal, [ref(4)]);
  }
  using journal = openFileJournal(path());
  expect(refsOf(journal)).toEqual([ref(1), ref(4)]);
});

test("lines that make no sense are skipped", () => {
  start(openFileJournal(path()), [ref(1)]);
  appendFileSync(path(), "\0\0\0\n+q x y z\n-1\n");
  start(openFileJournal(path()), [ref(2)]);
  using journal = openFileJournal(path());
  expect(refsOf(journal)).toEqual([ref(1), ref(2)]);
});

test("a reset forgets everything, also on disk", () => {
  const reset = openFileJournal(path());
  start(reset, [ref(1)]);
  reset.reset();
  start(reset, [ref(2)]);
  using journal = openFileJournal(path());
  expect(refsOf(journal)).toEqual([ref(2)]);
});

test("the file stays small however much went through it, and is not rewritten with every batch when much is live", () => {
  using journal = openFileJournal(path());
  const live = Array.from({ length: 1_000 }, (_, index) => ref(1_000_000 + index));
  start(journal, live);
  for (let batch = 0; batch < 400; batch++) {
    const refs = Array.from({ length: 200 }, (_, index) => ref(batch * 200 + index));
    start(journal, refs);
    journal.confirmed(refs);
    expect(statSync(path()).size).toBeLessThan(1.1 * 1024 * 1024);
  }
  using next = openFileJournal(path());
  expect(refsOf(next)).toEqual(live);
  // Two lines each, and what follows the last newline.
  expect(readFileSync(path(), "utf8").split("\n")).toHaveLength(2_001);
});

test("it remembers what the journal in memory remembers", () => {
  const refs = fc.array(fc.record({ seq: fc.nat(5), attempt: fc.integer({ min: 1, max: 2 }) }), { maxLength: 4 });
  const step = fc.record({ kind: fc.constantFrom("accepted", "started", "confirmed", "restart"), refs });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
      rmSync(join(folder, "data"), { recursive: true, force: true });
      const model = createMemoryJournal();
      let journal = openFileJournal(path());
      for (const { kind, refs } of steps) {
        const full = refs.map(({ seq, attempt }) => ref(seq, attempt));
        if (kind === "restart") {
          journal[Symbol.dispose]();
          journal = openFileJournal(path());
        } else if (kind === "started") {
          for (const target of [model, journal]) for (const each of full) target.started(each);
        } else for (const target of [model, journal]) target[kind as "accepted" | "confirmed"](full);
      }
      journal[Symbol.dispose]();
      journal = openFileJournal(path());
      expect(refsOf(journal).map(journalKey).sort()).toEqual(refsOf(model).map(journalKey).sort());
      journal[Symbol.dispose]();
    }),
    { numRuns: 50 },
  );
});

const refsOf = (journal: Journal) => journal.recover().map((recovered) => recovered.ref);

function start(journal: Journal, refs: readonly AttemptRef[]): void {
  journal.accepted(refs);
  for (const each of refs) journal.started(each);
  journal.flush();
}
