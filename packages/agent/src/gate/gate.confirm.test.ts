import { expect, test } from "vitest";
import { anOwner, endAll, incarnation, openGate } from "./testing.ts";

test("a confirmation below the floor is refused; one from any session at the floor counts", () => {
  const gate = openGate();
  const old = anOwner(gate, { epoch: 1, streamId: 1 });
  old.attach();
  endAll(gate, old.dispatch());
  anOwner(gate, { epoch: 2, session: 1, streamId: 2 }).attach();
  expect(old.confirm({})).toEqual([]);
  expect(gate.count).toBe(1);
  anOwner(gate, { epoch: 2, session: 2, streamId: 3 }).attach();
  expect(anOwner(gate, { epoch: 2, session: 1, streamId: 2 }).confirm({})).toHaveLength(1);
});

test("what is dispatched again from another lane is that lane's owner's, and not confirmed from the lane that it has left", () => {
  const ref = { seq: 1, attempt: 1, queue: "q", lane: 3 };
  const gate = openGate({}, [ref]);
  const before = anOwner(gate, { streamId: 1, epoch: 9 });
  before.attach();
  const after = anOwner(gate, { streamId: 2, epoch: 2 });
  after.attach([{ queue: "own", prefix: "", epoch: 2 }]);
  const { ended } = after.dispatch({ queue: "own", lane: 3 });
  expect(ended.map((attempt) => gate.reporterOf(attempt)?.streamId)).toEqual([2]);
  expect(before.confirm(ref)).toEqual([]);
  expect(after.confirm({ ...ref, queue: "own" })).toHaveLength(1);
});

test("what nobody has sent to this incarnation may still be sent after a confirmation, and no lower attempt", () => {
  const gate = openGate({}, [{ seq: 1, attempt: 2, queue: "q", lane: 0 }]);
  const owner = anOwner(gate);
  owner.attach();
  expect(owner.confirm({ attempt: 2 })).toHaveLength(1);
  expect(owner.dispatch({ attempt: 1 }).accepted).toEqual([]);
  expect(owner.dispatch({ attempt: 2 }).accepted).toHaveLength(1);
});

test("a confirmation counts from any lane but the one that the attempt has left", () => {
  const gate = openGate({}, [{ seq: 1, attempt: 1, queue: "q", lane: 3 }]);
  expect(anOwner(gate).confirm({ lane: 4 })).toHaveLength(1);
});

test("a confirmation of another incarnation, or of what runs, forgets nothing", () => {
  const gate = openGate();
  const owner = anOwner(gate);
  owner.attach();
  const running = owner.dispatch();
  expect(owner.confirm({})).toEqual([]);
  endAll(gate, running);
  expect(anOwner(gate, { incarnation: incarnation - 1 }).confirm({})).toEqual([]);
  expect(owner.confirm({})).toHaveLength(1);
});
