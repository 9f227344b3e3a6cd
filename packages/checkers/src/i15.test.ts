import type { Priority } from "@sluice/core";
import { describe, expect, test } from "vitest";
import type { AgentEvent, Inserted, StoreEvent } from "./history.ts";
import { i15 } from "./i15.ts";
import { history, inserted, owner } from "./testing.ts";

const calm = [{ from: 0, until: 1_000_000 }];

function task(seq: number, at: number, priority: Priority, overrides: Partial<Inserted> = {}): Inserted {
  return inserted({ seq, at, enqueuedAt: at, priority, ...overrides });
}

function sent(seq: number, at: number): AgentEvent {
  return { kind: "dispatched", at, agentId: "a1", incarnation: 1, seq, attempt: 1, queue: "q0", lane: 0, epoch: 5 };
}

describe("a task of low priority", () => {
  test("is passed by urgent ones that came within its patience", () => {
    const store = [task(1, 0, 3), task(2, 500_000, 0)];
    expect(i15.check(history({ calm, store, agents: [sent(2, 500_100), sent(1, 500_200)] }))).toEqual([]);
  });
  test("is passed by none that came later", () => {
    const store = [task(1, 0, 3), task(2, 606_000, 0)];
    expect(i15.check(history({ calm, store, agents: [sent(2, 606_100), sent(1, 606_400)] }))).toHaveLength(1);
  });
});

describe("a task that could go", () => {
  const store = [task(1, 0, 0), task(2, 100, 1)];
  const late = [sent(2, 5_000), sent(1, 6_000)];
  test("is not passed by a less urgent one for long", () => {
    expect(i15.check(history({ calm, store, agents: late }))).toHaveLength(1);
    expect(i15.check(history({ calm, store, agents: [sent(2, 900), sent(1, 901)] }))).toEqual([]);
  });
  test("is not passed by what comes to another agent in the same breath", () => {
    expect(i15.check(history({ calm, store, agents: [sent(2, 5_000), sent(1, 5_200)] }))).toEqual([]);
  });
  test("may be passed while things fail, and not for long after that", () => {
    expect(i15.check(history({ store, agents: late }))).toEqual([]);
    expect(i15.check(history({ calm: [{ from: 4_000, until: 9_000 }], store, agents: late }))).toEqual([]);
    expect(i15.check(history({ calm: [{ from: 2_000, until: 9_000 }], store, agents: late }))).toHaveLength(1);
  });
  test("may be passed when its lane has a new owner, and not for long after that", () => {
    const raised = (at: number, prefix = "0"): StoreEvent => ({
      kind: "raised",
      at,
      by: "s2.1",
      owner: { ...owner, prefix },
    });
    expect(i15.check(history({ calm, store: [...store, raised(4_000)], agents: late }))).toEqual([]);
    for (const other of [raised(2_000), raised(4_000, "1"), raised(5_500)])
      expect(i15.check(history({ calm, store: [...store, other], agents: late }))).toHaveLength(1);
  });
  test("may be passed by one that was submitted within a few seconds", () => {
    const together = [task(1, 0, 0), task(2, 5_000, 0)];
    expect(i15.check(history({ calm, store: together, agents: [sent(2, 7_000), sent(1, 8_000)] }))).toEqual([]);
    const apart = [task(1, 0, 0), task(2, 5_001, 0)];
    expect(i15.check(history({ calm, store: apart, agents: [sent(2, 7_000), sent(1, 8_000)] }))).toHaveLength(1);
  });
  test("may be passed by one of another flow or lane", () => {
    for (const other of [{ lane: 1 }, { queue: "q1" }, { function: "other" }, { account: "other" }]) {
      const apart = [task(1, 0, 0), task(2, 100, 1, other)];
      expect(i15.check(history({ calm, store: apart, agents: late }))).toEqual([]);
    }
  });
  test("could not go before it was taken out of its parking", () => {
    const unparked: StoreEvent = { kind: "unparked", at: 4_000, by: "s1.1", owner, seqs: [1] };
    const parked = [task(1, 0, 0, { dueAt: 4_000 }), task(2, 100, 1), unparked];
    expect(i15.check(history({ calm, store: parked, agents: late }))).toEqual([]);
    expect(i15.check(history({ calm, store: parked, agents: [sent(2, 7_000), sent(1, 7_300)] }))).toHaveLength(1);
  });
  test("has waited while it was parked because it did not fit into memory", () => {
    const overflown: StoreEvent = { kind: "overflown", at: 200, by: "s1.1", owner, seqs: [1] };
    const unparked: StoreEvent = { kind: "unparked", at: 4_000, by: "s1.1", owner, seqs: [1] };
    expect(i15.check(history({ calm, store: [...store, overflown, unparked], agents: late }))).toHaveLength(1);
    const again: StoreEvent = { ...unparked, at: 4_500 };
    expect(i15.check(history({ calm, store: [...store, overflown, unparked, again], agents: late }))).toEqual([]);
  });
  test("that was never sent was not passed", () => {
    expect(i15.check(history({ calm, store, agents: [sent(2, 9_000)] }))).toEqual([]);
  });
});
