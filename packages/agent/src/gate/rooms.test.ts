// The rules by which slots are made free for urgent tasks; each test fails without its rule.
import type { DispatchAttempt, MakeRoom } from "@sluice/protocol";
import { expect, test } from "vitest";
import { stoppedOutcome } from "../outcome.ts";
import type { Attempt } from "./attempt.ts";
import { anOwner, incarnation, openGate } from "./testing.ts";

const prefixes = ["0", "1"] as const;

/** An attempt, by default of the account that asks. */
type Order = Partial<DispatchAttempt> & { readonly accountId?: string };

/** A gate with two owners: `low` has lanes 0 to 15 and fills the slots, `urgent` has the others. */
function startFull(attempts: readonly Order[], slots = attempts.length) {
  const gate = openGate({ slots });
  const [low, urgent] = prefixes.map((prefix, index) => anOwner(gate, { prefix, streamId: index + 1 }));
  if (!low || !urgent) throw new Error("there are two owners");
  low.attach();
  urgent.attach();
  const running = attempts.map(({ accountId = "main", ...attempt }, index) => {
    const order = { seq: index + 1, priority: 3, preemptible: true, ...attempt };
    const [accepted] = low.dispatch(order, { accountId }).accepted;
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

const of = (accountId: string, count: number, attempt: Order = {}): Order[] =>
  Array.from({ length: count }, () => ({ accountId, ...attempt }));

test("one of the asker's own account is stopped before any other, whatever its priority", () => {
  const { victimOf } = startFull([...of("main", 1, { priority: 2 }), ...of("other", 5)]);
  expect(victimOf()).toBe(1);
});

test("of other accounts the one that runs most is stopped first, and of its attempts those as of its own", () => {
  const attempts = [...of("many", 2), ...of("many", 1, { priority: 2 }), ...of("few", 2), ...of("main", 1)];
  const { victimOf } = startFull([...attempts, ...of("many", 2, { priority: 2, preemptible: false })]);
  expect(victimOf({ accountId: "asker" })).toBe(2);
});

test("what may not be stopped counts as run, too", () => {
  const { victimOf } = startFull([...of("few", 2), ...of("many", 1), ...of("many", 4, { preemptible: false })]);
  expect(victimOf({ accountId: "asker" })).toBe(3);
});

test("nothing is stopped of an account that runs no more than the one that asks", () => {
  const urgent = { priority: 0 };
  expect(startFull([...of("main", 2, urgent), ...of("other", 2)]).victimOf()).toBe("share");
  expect(startFull([...of("main", 2, urgent), ...of("other", 3)]).victimOf()).toBe(5);
  expect(startFull([...of("main", 2, urgent), ...of("other", 3, { priority: 0 })]).victimOf()).toBe("none");
});

test("an account that asks without end has no more stopped than brings it to what the others run", () => {
  const { gate, running, ask, end, sendUrgent } = startFull([...of("other", 10), ...of("third", 6)]);
  const answers = Array.from({ length: 16 }, (_, index) => {
    const room = ask();
    if (typeof room !== "object") return room;
    end(room.victim);
    expect(sendUrgent(100 + index)).toBe(true);
    return room.victim?.flow?.accountId;
  });
  const left = (accountId: string) =>
    running.filter(({ flow, outcome }) => flow?.accountId === accountId && !outcome).length;
  expect([left("other"), left("third"), gate.runningCount]).toEqual([5, 5, 16]);
  expect(answers.filter((answer) => answer === "share")).toHaveLength(10);
});

test("room that is being made counts for who asked, and no more for who is stopped; so does room that is kept", () => {
  const { running, victimOf, end } = startFull([...of("main", 4, { priority: 0 }), ...of("other", 6)], 10);
  expect(victimOf()).toBe(10);
  expect(victimOf()).toBe("share");
  end(running[9]);
  expect(victimOf()).toBe("share");
});

test("for an attempt that waits for an instance the same holds; of its account what came after it waits, too", () => {
  const { gate, running } = startFull([...of("other", 2), ...of("main", 3, { preemptible: false })]);
  for (const [index, attempt] of running.slice(0, 2).entries()) attempt.instanceId = `i-${index}`;
  const [, , first, second, third] = running;
  if (!first || !second || !third) throw new Error("they were accepted");
  const victim = (waiting: Attempt) => gate.lastIn(["i-0", "i-1"], waiting, 0)?.ref.seq;
  expect([victim(first), victim(second), victim(third)]).toEqual([2, 2, undefined]);
});
