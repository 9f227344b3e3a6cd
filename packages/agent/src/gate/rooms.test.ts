// The rules by which slots are made free for urgent tasks; each test fails without its rule.
import type { DispatchAttempt, MakeRoom } from "@sluice/protocol";
import { expect, test } from "vitest";
import { stoppedOutcome } from "../outcome.ts";
import type { Attempt } from "./attempt.ts";
import { anOwner, incarnation, openGate } from "./testing.ts";

const prefixes = ["0", "1"] as const;

/** A gate with two owners: `low` has lanes 0 to 15 and fills the slots, `urgent` has the others. */
function startFull(attempts: readonly Partial<DispatchAttempt>[], slots = attempts.length) {
  const gate = openGate({ slots });
  const [low, urgent] = prefixes.map((prefix, index) => anOwner(gate, { prefix, streamId: index + 1 }));
  if (!low || !urgent) throw new Error("there are two owners");
  low.attach();
  urgent.attach();
  const running = attempts.map((attempt, index) => {
    const order = { seq: index + 1, priority: 3, preemptible: true, ...attempt };
    const [accepted] = low.dispatch(order).accepted;
    if (!accepted) throw new Error("it was not accepted");
    accepted.attempt.startedAtMs = 100 + index;
    return accepted.attempt;
  });
  const question = { session: 1, incarnation, question: 1, queue: "q", lane: 16, epoch: 1, memoryMb: 128 };
  const flow = { accountId: "main", functionName: "echo" };
  const ask = (overrides: Partial<MakeRoom> = {}, streamId = 2) =>
    gate.makeRoom({ ...question, ...flow, priority: 0, ...overrides }, streamId);
  const victimOf = (overrides: Partial<MakeRoom> = {}) => {
    const room = ask(overrides);
    return typeof room === "object" ? room.victim?.ref.seq : room;
  };
  const end = (attempt: Attempt | undefined) => attempt && gate.end(attempt, stoppedOutcome(1));
  const isAccepted = (owner: typeof low, order: Partial<DispatchAttempt>) =>
    owner.dispatch(order).accepted.length === 1;
  const sendUrgent = (seq: number, priority = 0) => isAccepted(urgent, { seq, lane: 16, priority });
  const sendLow = (seq: number) => isAccepted(low, { seq, priority: 0 });
  return { gate, running, ask, victimOf, end, sendUrgent, sendLow };
}

test("the one of the lowest priority is stopped, of whatever owner, and of those the one that began last", () => {
  const { victimOf } = startFull([{ priority: 2 }, {}, {}, { priority: 2 }]);
  expect(victimOf()).toBe(3);
});

test("a question of a priority that does not exist stops nothing", () => {
  const { victimOf } = startFull([{ priority: 0 }, {}]);
  expect(victimOf({ priority: -1 })).toBe("none");
});

test("one that has not begun goes first: it has nothing to lose", () => {
  const { running, victimOf } = startFull([{}, {}, {}]);
  if (running[1]) running[1].startedAtMs = 0;
  expect(victimOf()).toBe(2);
});

test.each([
  ["of the same priority", { priority: 1 }],
  ["of a higher priority", { priority: 0 }],
  ["of a priority that this release does not know", { priority: 4 }],
  ["that its owner does not let be stopped", { preemptible: false }],
])("nothing is stopped %s", (_what, attempt) => {
  const { victimOf } = startFull([attempt, attempt]);
  expect(victimOf({ priority: 1 })).toBe("none");
});

test("nothing is stopped twice, and at most a quarter of the slots at the same time, four for one stream", () => {
  const few = startFull([{}, {}, {}, {}, {}, {}, {}, {}]);
  expect([few.victimOf(), few.victimOf(), few.victimOf()]).toEqual([8, 7, "none"]);
  const many = startFull(Array.from({ length: 32 }, () => ({})));
  expect(Array.from({ length: 6 }, () => many.victimOf())).toEqual([32, 31, 30, 29, "none", "none"]);
});

test("a question that is not from the owner of the lane, or means another incarnation, is not answered", () => {
  const { ask } = startFull([{}, {}]);
  expect(ask({ lane: 0 })).toBeUndefined();
  expect(ask({ epoch: 2 })).toBeUndefined();
  expect(ask({ session: 2 })).toBeUndefined();
  expect(ask({}, 1)).toBeUndefined();
  expect(ask({ incarnation: incarnation + 1 })).toBeUndefined();
});

test("nothing is stopped whose owner would not hear of it now", () => {
  const { gate, victimOf } = startFull([{}, {}]);
  gate.detach(1);
  expect(victimOf()).toBe("none");
});

test("a slot that was made free is kept for the flow that asked", () => {
  const { gate, running, victimOf, end, sendLow, sendUrgent } = startFull([{}, {}]);
  expect(victimOf({ priority: 1 })).toBe(2);
  expect(gate.status().preemptible).toEqual([0, 0, 0, 1]);
  end(running[1]);
  expect(gate.status().slotsUsed).toBe(2);
  expect(sendLow(10)).toBe(false);
  expect(sendUrgent(11, 2), "of a lower priority than was asked for").toBe(false);
  expect(sendUrgent(12, 1)).toBe(true);
  expect(sendUrgent(13, 1)).toBe(false);
});

test("one that succeeds while it is being stopped leaves its slot, too", () => {
  const { gate, running, victimOf, sendUrgent } = startFull([{}]);
  expect(victimOf()).toBe(1);
  if (running[0]) gate.end(running[0], { ...stoppedOutcome(1), kind: 1 });
  expect(sendUrgent(10)).toBe(true);
});

test("a slot is anybody's when it is released, and when the stream of who asked has ended", () => {
  for (const isReleased of [true, false]) {
    const { gate, running, ask, end, sendLow } = startFull([{}, {}]);
    const room = ask();
    end(running[1]);
    if (isReleased && typeof room === "object") gate.release(room);
    else gate.detach(2);
    expect(sendLow(10)).toBe(true);
    expect(gate.status().slotsUsed).toBe(2);
  }
});

test("a slot that is free is kept at once, and nothing is stopped", () => {
  const { ask, sendLow, sendUrgent } = startFull([{}], 2);
  expect(ask()).toMatchObject({ victim: undefined });
  expect(sendLow(10)).toBe(false);
  expect(sendUrgent(11)).toBe(true);
});

test("an agent that drains makes no room, and tells that it stops nothing", () => {
  const { gate, victimOf } = startFull([{}, {}]);
  gate.drain();
  expect(victimOf()).toBe("none");
  expect(gate.status().preemptible).toEqual([]);
});
