import { OutcomeKind, RefusalReason } from "@sluice/protocol";
import { expect, test } from "vitest";
import { floorLastsMs } from "./flow-floors.ts";
import type { DispatchVerdict } from "./gate.ts";
import { anOwner, endAll, incarnation, openGate, revision, succeeded } from "./testing.ts";

const names = new Map(Object.entries(RefusalReason).map(([name, reason]) => [reason, name]));

/** What became of the only attempt of a frame. */
function verdictOf({ accepted, ended, refused }: DispatchVerdict): string {
  if (accepted.length > 0) return "accepted";
  if (ended.length > 0) return "answered";
  return names.get(refused[0]?.reason ?? RefusalReason.UNSPECIFIED) ?? "nothing";
}

test("an attached owner's attempt is accepted once; the repeat of a running one starts and answers nothing", () => {
  const gate = openGate();
  const owner = anOwner(gate);
  owner.attach();
  expect(verdictOf(owner.dispatch())).toBe("accepted");
  expect(owner.dispatch()).toEqual({ accepted: [], ended: [], refused: [] });
  expect(gate.runningCount).toBe(1);
});

test("the repeat of an ended attempt is answered with its outcome", () => {
  const gate = openGate();
  const owner = anOwner(gate);
  owner.attach();
  endAll(gate, owner.dispatch());
  const again = owner.dispatch();
  expect(verdictOf(again)).toBe("answered");
  expect(again.ended[0]?.outcome).toEqual(succeeded());
});

test("a confirmed attempt is not run again", () => {
  const gate = openGate();
  const owner = anOwner(gate);
  owner.attach();
  endAll(gate, owner.dispatch());
  expect(owner.confirm({}).map(({ ref }) => ref.seq)).toEqual([1]);
  expect(gate.count).toBe(0);
  expect(gate.bytes).toBe(0);
  expect(verdictOf(owner.dispatch())).toBe("STALE");
});

test("a lower attempt of a task is refused, whether the higher one runs, has ended, or is confirmed", () => {
  const gate = openGate();
  const owner = anOwner(gate);
  owner.attach();
  const second = owner.dispatch({ attempt: 2 });
  expect(verdictOf(owner.dispatch({ attempt: 1 }))).toBe("STALE");
  endAll(gate, second);
  expect(verdictOf(owner.dispatch({ attempt: 1 }))).toBe("STALE");
  owner.confirm({ attempt: 2 });
  expect(verdictOf(owner.dispatch({ attempt: 1 }))).toBe("STALE");
  expect(verdictOf(owner.dispatch({ attempt: 3 }))).toBe("accepted");
});

test("a task whose attempt runs is not started under another number", () => {
  const gate = openGate();
  const owner = anOwner(gate);
  owner.attach();
  const first = owner.dispatch({ attempt: 1 });
  expect(verdictOf(owner.dispatch({ attempt: 2 }))).toBe("BUSY");
  endAll(gate, first);
  expect(verdictOf(owner.dispatch({ attempt: 2 }))).toBe("accepted");
});

test("nothing is dispatched without an attach", () => {
  expect(verdictOf(anOwner(openGate()).dispatch())).toBe("STALE");
});

test.each([
  ["another epoch", { epoch: 2 }, "STALE"],
  ["an older session", { session: 4 }, "STALE"],
  ["a session that was not attached", { session: 6 }, "STALE"],
  ["another stream", { streamId: 2 }, "STALE"],
  ["another incarnation", { incarnation: incarnation - 1 }, "INCARNATION"],
  ["the attach itself", {}, "accepted"],
])("a frame of %s is judged so", (_, difference, expected) => {
  const gate = openGate();
  anOwner(gate, { epoch: 3, session: 5 }).attach();
  expect(verdictOf(anOwner(gate, { epoch: 3, session: 5, ...difference }).dispatch())).toBe(expected);
});

test.each([
  ["expired", { expiresAtMs: 100 }, { now: 100 }, "EXPIRED"],
  ["about to expire", { expiresAtMs: 101 }, { now: 100 }, "accepted"],
  ["of an unknown function", { functionRevision: revision + 1 }, {}, "UNKNOWN_FUNCTION"],
])("an attempt that is %s is judged so", (_, order, context, expected) => {
  const gate = openGate();
  const owner = anOwner(gate);
  owner.attach();
  expect(verdictOf(owner.dispatch(order, context))).toBe(expected);
});

test("a higher epoch takes a lane over: the older owner's frames are refused", () => {
  const gate = openGate();
  const old = anOwner(gate, { epoch: 1, streamId: 1 });
  old.attach();
  old.dispatch();
  const { inventory } = anOwner(gate, { epoch: 2, streamId: 2 }).attach();
  expect(inventory.map(({ ref, outcome }) => [ref.seq, outcome])).toEqual([[1, undefined]]);
  expect(verdictOf(old.dispatch({ seq: 2 }))).toBe("STALE");
  expect(old.stop({ seq: 1 })).toEqual({ running: [], ended: [] });
  expect(inventory.map((attempt) => gate.reporterOf(attempt)?.streamId)).toEqual([2]);
});

test("an attach below the floor is refused with the floor, and changes nothing", () => {
  const gate = openGate();
  const owner = anOwner(gate, { epoch: 5, prefix: "01" });
  owner.attach();
  const { isMeant, refused } = anOwner(gate, { epoch: 4, streamId: 2 }).attach();
  expect(isMeant).toBe(true);
  expect(refused).toEqual([{ partition: { queue: "q", prefix: "", epoch: 4 }, floor: 5 }]);
  // Neither the lane with the higher floor nor the ones beside it.
  expect(verdictOf(owner.dispatch({ lane: 8 }))).toBe("accepted");
  expect(verdictOf(anOwner(gate, { epoch: 4, streamId: 2 }).dispatch({ lane: 0 }))).toBe("STALE");
  expect(anOwner(gate, { epoch: 3, streamId: 3, prefix: "00" }).attach().refused).toEqual([]);
});

test("floors from the registration refuse an owner that the agent never met", () => {
  const gate = openGate();
  gate.open({
    incarnation,
    floors: [{ queue: "q", floors: Array(32).fill(9) }],
    recovered: [],
    lostOutcome: succeeded(),
  });
  expect(anOwner(gate, { epoch: 8 }).attach().refused[0]?.floor).toBe(9);
  expect(anOwner(gate, { epoch: 9 }).attach().refused).toEqual([]);
});

test("an attach of another incarnation attaches nothing and raises no floor", () => {
  const gate = openGate();
  expect(anOwner(gate, { epoch: 5, incarnation: incarnation + 1 }).attach().isMeant).toBe(false);
  const owner = anOwner(gate, { epoch: 1 });
  expect(owner.attach().refused).toEqual([]);
  expect(verdictOf(owner.dispatch())).toBe("accepted");
});

test("an attach that was overtaken by a later session of the same owner does not take the lane back", () => {
  const gate = openGate();
  anOwner(gate, { session: 2, streamId: 2 }).attach();
  expect(anOwner(gate, { session: 1, streamId: 1 }).attach().refused).toHaveLength(1);
  gate.detach(2);
  expect(anOwner(gate, { session: 1, streamId: 1 }).attach().refused).toHaveLength(1);
  expect(anOwner(gate, { session: 2, streamId: 1 }).attach().refused).toHaveLength(1);
  expect(anOwner(gate, { session: 3, streamId: 1 }).attach().refused).toEqual([]);
});

test("the same attach again on its stream is answered again", () => {
  const gate = openGate();
  const owner = anOwner(gate);
  owner.attach();
  owner.dispatch();
  const { refused, inventory } = owner.attach();
  expect(refused).toEqual([]);
  expect(inventory).toHaveLength(1);
});

test("the inventory has what runs, ended or was lost in the attached lanes, and nothing else", () => {
  const gate = openGate({}, [{ seq: 9, attempt: 3, queue: "q", lane: 0 }]);
  const owner = anOwner(gate);
  owner.attach();
  owner.dispatch({ seq: 1, lane: 0 });
  endAll(gate, owner.dispatch({ seq: 2, lane: 1 }));
  owner.dispatch({ seq: 3, lane: 31 });
  endAll(gate, owner.dispatch({ seq: 4, lane: 2 }));
  owner.confirm({ seq: 4, lane: 2 });
  const { inventory } = anOwner(gate, { epoch: 2, streamId: 2, prefix: "0" }).attach();
  expect(inventory.map(({ ref, outcome }) => [ref.seq, outcome?.kind])).toEqual([
    [9, OutcomeKind.LOST],
    [1, undefined],
    [2, OutcomeKind.SUCCEEDED],
  ]);
});

test("an attempt that was lost with the last incarnation is not run again, but its task is, as the next attempt", () => {
  const gate = openGate({}, [{ seq: 1, attempt: 2, queue: "q", lane: 0 }]);
  const owner = anOwner(gate);
  owner.attach();
  const again = owner.dispatch({ attempt: 2 });
  expect(again.ended[0]?.outcome?.kind).toBe(OutcomeKind.LOST);
  expect(verdictOf(owner.dispatch({ attempt: 1 }))).toBe("STALE");
  expect(verdictOf(owner.dispatch({ attempt: 3 }))).toBe("accepted");
});

test("a stop names what runs and answers what has ended", () => {
  const gate = openGate();
  const owner = anOwner(gate);
  owner.attach();
  owner.dispatch({ seq: 1 });
  endAll(gate, owner.dispatch({ seq: 2 }));
  const { running, ended } = owner.stop({ seq: 1 }, { seq: 2 });
  expect(running.map(({ ref }) => ref.seq)).toEqual([1]);
  expect(ended.map(({ ref, outcome }) => [ref.seq, outcome?.kind])).toEqual([[2, OutcomeKind.SUCCEEDED]]);
});

test("a stop that overtakes its dispatch is answered, and the attempt never starts", () => {
  const gate = openGate();
  const owner = anOwner(gate);
  owner.attach();
  expect(owner.stop({ seq: 1 }).ended.map(({ outcome }) => outcome?.kind)).toEqual([OutcomeKind.STOPPED]);
  const late = owner.dispatch({ seq: 1 });
  expect(verdictOf(late)).toBe("answered");
  expect(late.ended[0]?.outcome?.kind).toBe(OutcomeKind.STOPPED);
});

test.each([
  ["another epoch", { epoch: 2 }],
  ["another session", { session: 9 }],
  ["another stream", { streamId: 9 }],
  ["another incarnation", { incarnation: incarnation - 1 }],
])("a stop of %s stops nothing and is not remembered", (_, difference) => {
  const gate = openGate();
  const owner = anOwner(gate);
  owner.attach();
  owner.dispatch({ seq: 1 });
  expect(anOwner(gate, difference).stop({ seq: 1 }, { seq: 2 })).toEqual({ running: [], ended: [] });
  expect(verdictOf(owner.dispatch({ seq: 2 }))).toBe("accepted");
});

test("stops of what was confirmed are not remembered, and remembered ones are bounded", () => {
  const gate = openGate({ entriesMax: 2 });
  const owner = anOwner(gate);
  owner.attach();
  endAll(gate, owner.dispatch({ seq: 1 }));
  owner.confirm({ seq: 1 });
  expect(owner.stop({ seq: 1 }).ended).toEqual([]);
  const answered = owner.stop(...[2, 3, 4, 5, 6, 7].map((seq) => ({ seq })));
  expect(answered.ended).toHaveLength(4);
});

test("no more attempts run than there are slots", () => {
  const gate = openGate({ slots: 2 });
  const owner = anOwner(gate);
  owner.attach();
  const first = owner.dispatch({ seq: 1 });
  owner.dispatch({ seq: 2 });
  expect(verdictOf(owner.dispatch({ seq: 3 }))).toBe("BUSY");
  expect(gate.status()).toMatchObject({ slots: 2, instancesMax: 16, slotsUsed: 2, draining: false });
  endAll(gate, first);
  expect(verdictOf(owner.dispatch({ seq: 3 }))).toBe("accepted");
});

test.each([
  ["attempts", { entriesMax: 2 }, 1],
  ["bytes", { bytesMax: 20 }, 10],
])("a table that is full of unconfirmed %s refuses new work until something is confirmed", (_, config, bytes) => {
  const gate = openGate(config);
  const owner = anOwner(gate);
  owner.attach();
  endAll(gate, owner.dispatch({ seq: 1 }), bytes);
  endAll(gate, owner.dispatch({ seq: 2 }), bytes);
  expect(verdictOf(owner.dispatch({ seq: 3 }))).toBe("BUSY");
  expect(verdictOf(owner.dispatch({ seq: 1 }))).toBe("answered");
  owner.confirm({ seq: 1 });
  expect(verdictOf(owner.dispatch({ seq: 3 }))).toBe("accepted");
});

test("a draining gate takes no new attempts, and answers for the old ones", () => {
  const gate = openGate();
  const owner = anOwner(gate);
  owner.attach();
  const first = owner.dispatch({ seq: 1 });
  gate.drain();
  expect(verdictOf(owner.dispatch({ seq: 2 }))).toBe("DRAINING");
  expect(gate.status().draining).toBe(true);
  endAll(gate, first);
  expect(verdictOf(owner.dispatch({ seq: 1 }))).toBe("answered");
  expect(anOwner(gate, { epoch: 2, streamId: 2 }).attach().inventory).toHaveLength(1);
});

test("a shut gate accepts nothing, reports nothing and takes no outcome", () => {
  const gate = openGate();
  const owner = anOwner(gate);
  owner.attach();
  const { accepted } = owner.dispatch({ seq: 1 });
  gate.close();
  expect(verdictOf(owner.dispatch({ seq: 2 }))).toBe("INCARNATION");
  expect(anOwner(gate, { epoch: 2 }).attach().isMeant).toBe(false);
  expect(accepted.map(({ attempt }) => gate.reporterOf(attempt))).toEqual([undefined]);
  expect(accepted.map(({ attempt }) => gate.end(attempt, succeeded()))).toEqual([false]);
});

test("a gate that is not open yet accepts nothing", async () => {
  const { Gate } = await import("./gate.ts");
  const gate = new Gate({ slots: 1, instancesMax: 1, entriesMax: 1, bytesMax: 1, confirmedMax: 1, monotonic: () => 0 });
  expect(anOwner(gate, { incarnation: 0 }).attach().isMeant).toBe(false);
});

test("a lane whose stream has ended reports to nobody", () => {
  const gate = openGate();
  const owner = anOwner(gate);
  owner.attach();
  const { accepted } = owner.dispatch();
  gate.detach(1);
  expect(accepted.map(({ attempt }) => gate.reporterOf(attempt))).toEqual([undefined]);
  expect(verdictOf(owner.dispatch({ seq: 2 }))).toBe("STALE");
});

test("an accepted attempt that could not be started may be dispatched again", () => {
  const gate = openGate({ slots: 1 });
  const owner = anOwner(gate);
  owner.attach();
  for (const { attempt } of owner.dispatch().accepted) gate.takeBack(attempt);
  expect(verdictOf(owner.dispatch())).toBe("accepted");
});

test("a prefix that is none is an error of its sender", () => {
  const attach = () => anOwner(openGate(), { prefix: "012" }).attach();
  expect(attach).toThrow(expect.objectContaining({ reason: "INVALID_FRAME" }));
});

test("what runs of a flow outside its lane is counted: neither what has ended, nor other flows, nor what is at home", () => {
  const gate = openGate();
  const owner = anOwner(gate);
  owner.attach();
  owner.dispatch({ seq: 1, lane: 0 });
  owner.dispatch({ seq: 2, lane: 1 });
  owner.dispatch({ seq: 3, lane: 2 });
  endAll(gate, owner.dispatch({ seq: 4, lane: 3 }));
  const count = (question: Parameters<typeof owner.ask>[0]) =>
    owner.ask(question)?.map((flow) => flow.runningElsewhere);
  expect(count({ lane: 0 })).toEqual([2]);
  expect(count({ lane: 9 })).toEqual([3]);
  expect(count({ lane: 0, queue: "other" })).toEqual([3]);
  expect(count({ functionName: "" })).toEqual([2]);
  expect(count({ functionName: "another" })).toEqual([0]);
  expect(count({ accountId: "another", functionName: "" })).toEqual([0]);
  expect(anOwner(gate, { incarnation: incarnation + 1 }).ask()).toBeUndefined();
});

test("attempts that were dispatched by older limits are refused once an owner has asked, wherever they come from", () => {
  const gate = openGate();
  const owner = anOwner(gate);
  owner.attach();
  expect(verdictOf(owner.dispatch({ seq: 1, lane: 1 }))).toBe("accepted");
  owner.ask({ limitsVersion: [5, 3, 0] });
  expect(verdictOf(owner.dispatch({ seq: 2, lane: 1 }))).toBe("LIMITS");
  expect(verdictOf(owner.dispatch({ seq: 2, lane: 1, limitsVersion: [5, 2, 9] }))).toBe("LIMITS");
  expect(verdictOf(owner.dispatch({ seq: 2, lane: 1, limitsVersion: [5, 3] }))).toBe("accepted");
  // An older question, that was late, lowers nothing.
  owner.ask({ limitsVersion: [4, 9, 0] });
  expect(verdictOf(owner.dispatch({ seq: 3, limitsVersion: [4, 9, 0] }))).toBe("LIMITS");
  expect(verdictOf(owner.dispatch({ seq: 3, limitsVersion: [5, 9, 0] }))).toBe("accepted");
  owner.ask({ functionName: "", limitsVersion: [0, 10] });
  expect(verdictOf(owner.dispatch({ seq: 4, limitsVersion: [5, 9, 0] }))).toBe("LIMITS");
  // What it has already is not refused.
  expect(owner.dispatch({ seq: 1, lane: 1 }).refused).toEqual([]);
});

test("attempts that were dispatched by an older route of their flow are refused, and those by any later knowledge are not", () => {
  const gate = openGate();
  const owner = anOwner(gate);
  owner.attach();
  const verdict = (seq: number, routesKnownAtMs?: number) =>
    verdictOf(owner.dispatch({ seq, lane: 1, limitsVersion: [5], ...(routesKnownAtMs && { routesKnownAtMs }) }));
  owner.ask({ limitsVersion: [5], routesKnownAtMs: 2_000 });
  expect(verdict(1, 1_999)).toBe("LIMITS");
  expect(verdict(1, 2_000)).toBe("accepted");
  // A question that was late, or of an older release, lowers nothing.
  owner.ask({ limitsVersion: [5], routesKnownAtMs: 1_000 });
  owner.ask({ limitsVersion: [5] });
  expect(verdict(2, 1_999)).toBe("LIMITS");
  // An owner of an older release does not say what it knew: it must be able to go on when the flow has come back to it.
  expect(verdict(3)).toBe("accepted");
});

test("what was asked long ago refuses nothing: a function that was deleted and made anew has limits without a version", () => {
  let now = 0;
  const gate = openGate({ monotonic: () => now });
  const owner = anOwner(gate);
  owner.attach();
  owner.ask({ limitsVersion: [5] });
  now += floorLastsMs;
  expect(verdictOf(owner.dispatch({ seq: 1, lane: 1 }))).toBe("LIMITS");
  // Whoever asks again, because some still run elsewhere, keeps it.
  owner.ask({ limitsVersion: [3] });
  now += floorLastsMs;
  expect(verdictOf(owner.dispatch({ seq: 1, lane: 1, limitsVersion: [4] }))).toBe("LIMITS");
  now += 1;
  expect(verdictOf(owner.dispatch({ seq: 1, lane: 1 }))).toBe("accepted");
});
