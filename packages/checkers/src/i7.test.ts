import { describe, expect, test } from "vitest";
import type { ClaimHeld, StoreEvent } from "./history.ts";
import { i7 } from "./i7.ts";
import { history } from "./testing.ts";

function claim(overrides: Partial<ClaimHeld> = {}): ClaimHeld {
  return { queue: "q0", prefix: "0", ownerId: "s1.1", revision: 7, from: 10, until: undefined, ...overrides };
}

/** As a take-over does it: at 11 the floors are read, at 12 they are raised. */
function takeOver(overrides: { by?: string; at?: number; prefix?: string; epoch?: number } = {}): StoreEvent[] {
  const { by = "s1.1", at = 11, prefix = "0", epoch = 7 } = overrides;
  return [
    { kind: "floors read", at, by, queue: "q0", floors: new Array<number>(32).fill(3) },
    { kind: "raised", at: at + 1, by, owner: { queue: "q0", prefix, epoch } },
  ];
}

describe("claims", () => {
  test("on a prefix and on one of its parts never stand together", () => {
    const both = [claim(), claim({ prefix: "", ownerId: "s2.1", revision: 9, from: 20 })];
    expect(i7.check(history({ claims: both }))).toHaveLength(1);
  });
  test("on the same prefix never stand together", () => {
    expect(i7.check(history({ claims: [claim({ until: 30 }), claim({ ownerId: "s2.1", from: 29 })] }))).toHaveLength(1);
  });
  test("may follow each other at once, and stand beside those of other lanes and queues", () => {
    const follower = claim({ ownerId: "s2.1", from: 30 });
    const beside = claim({ prefix: "1", ownerId: "s2.1" });
    const elsewhere = claim({ queue: "q1", ownerId: "s3.1" });
    expect(i7.check(history({ claims: [claim({ until: 30 }), follower, beside, elsewhere] }))).toEqual([]);
  });
});

describe("an epoch", () => {
  test("belongs to one owner of a lane", () => {
    const claims = [claim({ until: 20 }), claim({ ownerId: "s2.1", prefix: "", from: 20, revision: 4 })];
    const raised: StoreEvent = { kind: "raised", at: 22, by: "s2.1", owner: { queue: "q0", prefix: "", epoch: 7 } };
    const read = takeOver({ by: "s2.1", at: 21 })[0] as StoreEvent;
    const store = [...takeOver(), { ...read, floors: new Array<number>(32).fill(6) } as StoreEvent, raised];
    expect(i7.check(history({ claims, store }))).toHaveLength(1);
  });
  test("may be the same in other lanes", () => {
    const claims = [claim(), claim({ prefix: "1", ownerId: "s2.1" })];
    const store = [...takeOver(), ...takeOver({ by: "s2.1", prefix: "1" })];
    expect(i7.check(history({ claims, store }))).toEqual([]);
  });
});

describe("a floor", () => {
  test("is raised by whoever holds the claim", () => {
    expect(i7.check(history({ claims: [claim()], store: takeOver() }))).toEqual([]);
  });
  test("is not raised without a claim, or with that of somebody else", () => {
    expect(i7.check(history({ store: takeOver() }))).toHaveLength(1);
    expect(i7.check(history({ claims: [claim({ ownerId: "s2.1" })], store: takeOver() }))).toHaveLength(1);
  });
  test("is not raised with a claim that was gone before the floor was read", () => {
    expect(i7.check(history({ claims: [claim({ until: 10 })], store: takeOver() }))).toHaveLength(1);
  });
  test("may be raised just after the claim has gone: the floor keeps owners apart, not the claim", () => {
    expect(i7.check(history({ claims: [claim({ until: 11.5 })], store: takeOver() }))).toEqual([]);
  });
  test("is raised to the epoch that follows from the claim and the floor", () => {
    expect(i7.check(history({ claims: [claim()], store: takeOver({ epoch: 8 }) }))).toHaveLength(1);
    const claims = [claim({ revision: 2 })];
    expect(i7.check(history({ claims, store: takeOver({ epoch: 4 }) }))).toEqual([]);
  });
  test("may be raised late, by a call whose caller has tried again since", () => {
    const [read, raised] = takeOver() as [StoreEvent, StoreEvent];
    const again = { ...read, at: 15, floors: new Array<number>(32).fill(5) } as StoreEvent;
    expect(i7.check(history({ claims: [claim()], store: [read, again, { ...raised, at: 16 }] }))).toEqual([]);
  });
});
