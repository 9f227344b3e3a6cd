import { FunctionName } from "@sluice/core";
import { aFlow } from "@sluice/core/testing";
import { OutcomeKind } from "@sluice/protocol";
import { expect, onTestFinished, test } from "vitest";
import type { AgentLink, PartitionPort } from "../agents/link.ts";
import { endTask } from "./ends.ts";
import { allGates } from "./gates.ts";
import { preemptLoop } from "./preempt.ts";
import { type DispatchOptions, startDispatching } from "./testing.ts";

const other = aFlow({ function: FunctionName("other") });

/** A partition with two slots, both taken by tasks of low priority. */
async function startFull(options: DispatchOptions = {}) {
  const dispatching = startDispatching({ slots: 2, preemptible: true, ...options });
  const { clock, context, deliver, links } = dispatching;
  const stop = new AbortController();
  const done = preemptLoop(context, {} as PartitionPort)(stop.signal);
  onTestFinished(async () => {
    stop.abort();
    await done;
  });
  const [link] = links as [AgentLink];
  for (let count = 0; count < 2; count++) {
    deliver(1, { priority: 3 });
    await clock.advance(10);
  }
  return {
    ...dispatching,
    end(seq: number, kind = OutcomeKind.STOPPED) {
      const task = context.memory.active(seq);
      if (!task) throw new Error("it does not run");
      const nothing = Buffer.alloc(0);
      const outcome = { kind, result: nothing, errorType: "", errorMessage: "", errorBody: nothing };
      endTask(context, link, task, {
        outcome: { ...outcome, retryAfterMs: 0, endedAtMs: 1 },
        startedAtMs: 1,
        instanceId: "",
      });
      context.memory.forget(seq);
      context.wakeDispatch.notify();
    },
    sent: () => dispatching.frames.flat().map(({ seq }) => seq),
  };
}

test("an urgent task that nobody has room for gets the slot of the one that was started last", async () => {
  const { clock, context, deliver, stops, end, sent } = await startFull();
  deliver(3, { flow: other, priority: 2 });
  deliver(1, { priority: 0 });
  await clock.advance(90);
  expect(stops).toEqual([]);
  await clock.advance(200);
  expect(stops).toMatchObject([{ seq: 2, attempt: 1 }]);
  end(2);
  await clock.advance(10);
  // Before those of another flow, which would have been next.
  expect(sent()).toEqual([1, 2, 6]);
  expect(context.preempting.claims).toEqual([]);
  expect(context.pending.take(9).map(({ write }) => write)).toMatchObject([{ kind: "park", seq: 2, retries: 0 }]);
});

test("nobody is stopped twice, and for one waiting task only one", async () => {
  const { clock, deliver, stops } = await startFull();
  deliver(1, { priority: 1 });
  await clock.advance(5_000);
  expect(stops).toHaveLength(1);
  deliver(3, { priority: 1 });
  await clock.advance(5_000);
  expect(stops.map(({ seq }) => seq)).toEqual([2, 1]);
});

test.each([
  ["what waits is neither urgent nor high", { priority: 2 as const }, {}],
  ["what runs is not preemptible", { priority: 0 as const }, { preemptible: false }],
  ["there is room", { priority: 0 as const }, { slots: 3 }],
])("nothing is stopped when %s", async (_why, waiting, options) => {
  const { clock, deliver, stops } = await startFull(options);
  deliver(1, waiting);
  await clock.advance(5_000);
  expect(stops).toEqual([]);
});

test("nothing is stopped for a flow that a gate holds back, nor what was stopped three times", async () => {
  const { clock, context, deliver, stops } = await startFull();
  Object.assign(context, { gates: allGates([{ room: () => 0 }]) });
  deliver(1, { priority: 0 });
  await clock.advance(5_000);
  expect(stops).toEqual([]);
  Object.assign(context, { gates: allGates([]) });
  for (const task of context.memory.activeTasks()) task.attempt = 4;
  await clock.advance(5_000);
  expect(stops).toEqual([]);
});

test("a slot that is not free in time is anybody's, and its attempt may be asked again", async () => {
  const { clock, context, deliver, stops } = await startFull();
  deliver(1, { priority: 0 });
  await clock.advance(1_000);
  expect(context.preempting.claims).toHaveLength(1);
  await clock.advance(30_000);
  expect(stops.map(({ seq }) => seq)).toEqual([2, 2]);
});
