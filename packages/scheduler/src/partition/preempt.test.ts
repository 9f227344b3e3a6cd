import { FunctionName, flowKey } from "@sluice/core";
import { aFlow } from "@sluice/core/testing";
import { RoomState } from "@sluice/protocol";
import { expect, onTestFinished, test } from "vitest";
import type { AgentLink, PartitionPort } from "../agents/link.ts";
import { allGates } from "./gates.ts";
import { preemptLoop, roomAnswered } from "./preempt.ts";
import { type DispatchOptions, startDispatching } from "./testing.ts";

const other = aFlow({ function: FunctionName("other") });
/** One attempt of low priority. */
const low = [0, 0, 0, 1];

/** A partition with two slots, both taken by tasks of low priority; more of theirs may be stopped, of other partitions. */
async function startFull(options: DispatchOptions = {}) {
  const dispatching = startDispatching({ slots: 2, preemptible: true, stoppable: { a1: low }, ...options });
  const { clock, context, deliver, links, questions } = dispatching;
  const stop = new AbortController();
  const done = preemptLoop(context, {} as PartitionPort)(stop.signal);
  onTestFinished(async () => {
    stop.abort();
    await done;
  });
  for (let count = 0; count < 2 * links.length; count++) {
    deliver(1, { priority: 3 });
    await clock.advance(10);
  }
  return {
    ...dispatching,
    /** The agent that was asked last says this. */
    async answer(state: RoomState) {
      const { agentId, question } = questions.at(-1) ?? { agentId: "nobody was asked", question: 0 };
      const link = links.find((each) => each.agentId === agentId) as AgentLink;
      roomAnswered(context, link, { incarnation: 1, question, state });
      await clock.advance(10);
    },
    sent: () => dispatching.frames.flat().map(({ seq }) => seq),
  };
}

test("for an urgent task that nobody has room for an agent is asked, and it goes where room was made", async () => {
  const { clock, context, deliver, questions, answer, sent, sentTo } = await startFull();
  deliver(3, { flow: other, priority: 2 });
  deliver(1, { priority: 0 });
  await clock.advance(90);
  expect(questions).toEqual([]);
  await clock.advance(200);
  expect(questions).toMatchObject([{ agentId: "a1", priority: 0, functionName: "echo", memoryMb: 128 }]);
  await answer(RoomState.STOPPING);
  expect(sent()).toEqual([1, 2]);
  await answer(RoomState.KEPT);
  // Although the agent offers no slot, and before those of another flow, which would have been next.
  expect(sent()).toEqual([1, 2, 6]);
  expect(sentTo.get(6)).toBe("a1");
  expect(context.preempting.claims).toEqual([]);
});

test("for one waiting task one agent is asked once, while it has answered that it stops something", async () => {
  const { clock, deliver, questions, answer } = await startFull();
  deliver(1, { priority: 1 });
  await clock.advance(300);
  await answer(RoomState.STOPPING);
  await clock.advance(5_000);
  expect(questions).toHaveLength(1);
  deliver(9, { priority: 1 });
  await clock.advance(900);
  expect(questions, "no more than four are open").toHaveLength(4);
});

test("the next agent is asked when one stops nothing, and that one not again at once", async () => {
  const stoppable = { a1: low, a2: low };
  const { clock, deliver, questions, answer } = await startFull({ agents: 2, stoppable });
  deliver(1, { priority: 0 });
  await clock.advance(300);
  const [first] = questions;
  await answer(RoomState.NONE);
  await clock.advance(150);
  expect(questions).toHaveLength(2);
  expect(questions[1]?.agentId).not.toBe(first?.agentId);
  await answer(RoomState.NONE);
  await clock.advance(200);
  expect(questions).toHaveLength(2);
  await clock.advance(600);
  expect(questions).toHaveLength(3);
});

test("an agent that stops nothing for one account is asked for others at once, and for that one less and less often", async () => {
  const stranger = aFlow({ account: "stranger" });
  const { clock, deliver, questions, answer } = await startFull();
  deliver(1, { priority: 0 });
  await clock.advance(300);
  await answer(RoomState.SHARE);
  expect(questions).toHaveLength(1);
  deliver(1, { flow: stranger, priority: 1 });
  await clock.advance(300);
  expect(questions.map(({ accountId }) => accountId)).toEqual(["main", "stranger"]);

  await answer(RoomState.KEPT);
  const ofMain = () => questions.filter(({ accountId }) => accountId === "main").length;
  for (let round = 0; round < 600; round++) {
    const before = ofMain();
    await clock.advance(100);
    if (ofMain() > before) await answer(RoomState.SHARE);
  }
  // After 0.5, 1, 2, 4, 8, 8 … s.
  expect(ofMain()).toBeGreaterThan(8);
  expect(ofMain()).toBeLessThan(14);
});

test.each([RoomState.STOPPING, RoomState.KEPT])(
  "an account that gets room is asked for again as soon as any other (%s)",
  async (state) => {
    const { clock, deliver, questions, answer, links } = await startFull();
    const origin = { ...aFlow(), priority: 0 as const };
    const refusals = links[0]?.shareRefusals;
    for (let count = 0; count < 3; count++) refusals?.add(origin);
    deliver(1, origin);
    await clock.advance(2_300);
    expect(questions).toHaveLength(1);
    await answer(state);
    refusals?.add(origin);
    await clock.advance(500);
    expect(refusals?.has(origin)).toBe(false);
  },
);

test("of two agents the one is asked that has more to stop, of priorities that are low enough", async () => {
  const stoppable = { a1: [0, 9, 0, 1], a2: [0, 0, 2, 0] };
  const { clock, deliver, questions } = await startFull({ agents: 2, stoppable });
  deliver(1, { priority: 1 });
  await clock.advance(300);
  expect(questions.map(({ agentId }) => agentId)).toEqual(["a2"]);
});

test.each([
  ["what waits is neither urgent nor high", { priority: 2 as const }, {}],
  ["nothing of a lower priority may be stopped", { priority: 1 as const }, { stoppable: { a1: [5, 5, 0, 0] } }],
  ["its agent is of an older release", { priority: 0 as const }, { stoppable: {} }],
  ["there is room", { priority: 0 as const }, { slots: 3 }],
  ["its function has as many instances there as it may have", { priority: 0 as const }, { instancesMax: 0 }],
])("nobody is asked when %s", async (_why, waiting, options) => {
  const { clock, deliver, questions } = await startFull(options);
  deliver(1, waiting);
  await clock.advance(5_000);
  expect(questions).toEqual([]);
});

test("nobody is asked for a flow that a gate holds back, nor for more than it lets pass", async () => {
  const { clock, context, deliver, questions } = await startFull();
  Object.assign(context, { gates: allGates([{ room: () => 0 }]) });
  deliver(1, { priority: 0 });
  await clock.advance(900);
  expect(questions).toEqual([]);
  Object.assign(context, { gates: allGates([{ room: () => 1 }]) });
  deliver(3, { priority: 0 });
  await clock.advance(900);
  expect(questions).toHaveLength(1);
});

test("an agent that does not answer is asked again, and so is one that does not keep its word", async () => {
  const { clock, deliver, questions, answer } = await startFull();
  deliver(1, { priority: 0 });
  await clock.advance(1_200);
  expect(questions).toHaveLength(1);
  await clock.advance(700);
  expect(questions).toHaveLength(2);
  await answer(RoomState.STOPPING);
  await clock.advance(29_000);
  expect(questions).toHaveLength(2);
  await clock.advance(2_000);
  expect(questions).toHaveLength(3);
});

test("whoever asked, the most urgent task of the flow goes where room was made first", async () => {
  const { clock, deliver, questions, answer, sent } = await startFull();
  deliver(1, { priority: 0 });
  await clock.advance(200);
  deliver(1, { priority: 0 });
  await clock.advance(200);
  expect(questions).toHaveLength(2);
  // To the question that was asked last.
  await answer(RoomState.KEPT);
  expect(sent()).toEqual([1, 2, 3]);
});

test("who asked gets the room, however many others wait before it", async () => {
  const { clock, context, deliver, answer, sent } = await startFull();
  deliver(1, { priority: 0 });
  await clock.advance(200);
  const { urgent } = context.preempting;
  const [asker] = urgent;
  urgent.clear();
  for (let seq = 100_000; seq < 101_500; seq++) {
    urgent.add({
      origin: { ...other, lane: 0, priority: 0, enqueuedAt: 0 },
      flowKey: flowKey(other),
      seqs: [seq],
      next: 0,
    });
  }
  if (asker) urgent.add(asker);
  await answer(RoomState.KEPT);
  expect(sent()).toEqual([1, 2, 3]);
});

test("room goes to another task of the flow when the one that asked has gone elsewhere", async () => {
  const { clock, context, deliver, answer, sent } = await startFull();
  deliver(2, { priority: 0 });
  await clock.advance(200);
  await answer(RoomState.STOPPING);
  context.memory.forget(3);
  await answer(RoomState.KEPT);
  expect(sent()).toEqual([1, 2, 4]);
});

test("an attempt is sent as one that may be stopped at most three times", async () => {
  const { clock, context, deliver, frames } = startDispatching({ preemptible: true });
  const marks = () => frames.flat().map(({ priority, preemptible }) => [priority, preemptible]);
  deliver(1, { priority: 3 });
  deliver(1, { priority: 3, attempt: 3 });
  deliver(1, { priority: 3, attempt: 4 });
  deliver(1, { priority: 1, attempt: 4, retries: 1 });
  await clock.advance(10);
  expect(context.memory.size).toBe(4);
  expect(marks().toSorted()).toEqual([
    [1, true],
    [3, false],
    [3, true],
    [3, true],
  ]);
});

test("an agent is asked for an urgent task although thousands of another account wait, which has its share", async () => {
  const { clock, context, links, deliver, questions } = await startFull();
  const noisy = aFlow({ account: "noisy" });
  const quiet = aFlow({ account: "quiet" });
  for (let block = 0; block < 2_000; block++) deliver(1, { flow: noisy, priority: 1 });
  deliver(1, { flow: quiet, priority: 1 });
  for (let block = 0; block < 2_000; block++) deliver(1, { flow: noisy, priority: 1 });
  const askedFor = () => new Set(questions.map(({ accountId }) => accountId));
  for (let round = 0; round < 50 && !askedFor().has(quiet.accountId); round++) {
    await clock.advance(100);
    for (const { accountId, question } of questions) {
      const link = links[0] as AgentLink;
      const state = RoomState.SHARE;
      if (accountId === noisy.accountId) roomAnswered(context, link, { incarnation: 1, question, state });
    }
  }
  expect(askedFor()).toEqual(new Set([noisy.accountId, quiet.accountId]));
});
