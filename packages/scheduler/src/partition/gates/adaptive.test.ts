import { type AdaptiveFlow, createAdaptiveFlow } from "@sluice/core";
import { aFlow, FakeClock } from "@sluice/core/testing";
import { OutcomeKind } from "@sluice/protocol";
import { silentLogger } from "@sluice/runtime";
import { Registry } from "prom-client";
import { expect, onTestFinished, test, vi } from "vitest";
import { schedulerMetrics } from "../../metrics.ts";
import type { GatedFlow } from "../gates.ts";
import type { ActiveTask } from "../memory.ts";
import { adaptiveGate } from "./adaptive.ts";

const others = { ofFlow: 0, ofAccount: 0, activeOf: () => 0 };

function startGate() {
  const clock = new FakeClock();
  const metrics = schedulerMetrics(new Registry());
  const gate = adaptiveGate({ clock, log: silentLogger, metrics });
  const active = new Map<string, number>();
  const flowOf = (name: string): GatedFlow => {
    const origin = { ...aFlow({ function: name }), lane: 0, priority: 2 as const, enqueuedAt: 0 };
    return { origin, flowKey: name, function: undefined, active: active.get(name) ?? 0 };
  };
  const count = (name: string, change: number) => active.set(name, (active.get(name) ?? 0) + change);
  /** An agent has it, and it was not picked here. */
  function adopt(name = "f"): ActiveTask {
    count(name, 1);
    return { flowKey: name, origin: flowOf(name).origin } as ActiveTask;
  }
  function pick(name = "f"): ActiveTask {
    const flow = flowOf(name);
    const task = adopt(name);
    gate.onPicked?.(flow, task);
    return task;
  }
  /** Its row was read. */
  function admit(task: ActiveTask): ActiveTask {
    gate.admits?.(flowOf(task.flowKey), task, others);
    return task;
  }
  return {
    ...{ clock, gate, adopt, pick, admit },
    shrinks: async () => (await metrics.slowedFlows.get()).values[0]?.value ?? 0,
    room: (name = "f") => gate.room(flowOf(name)),
    send: (name = "f") => admit(pick(name)),
    end(task: ActiveTask, kind: OutcomeKind, { retryAfterMs = 0, errorType = "" } = {}) {
      gate.onEnded?.(task, { kind, retryAfterMs, errorType });
      count(task.flowKey, -1);
    },
    release(task: ActiveTask) {
      gate.onReleased?.(task);
      count(task.flowKey, -1);
    },
  };
}

test("a flow that is refused too often gets a rate, and its tokens wake the dispatch when they come", async () => {
  const { clock, gate, room, send, end } = startGate();
  expect(room()).toBe(Number.POSITIVE_INFINITY);
  for (let index = 0; index < 60; index++) {
    const task = send();
    end(task, index < 50 ? OutcomeKind.SUCCEEDED : OutcomeKind.FLOW_CONTROL);
  }
  await clock.advance(1_100);
  expect(room()).toBe(0);
  expect(gate.slowedDown()).toMatchObject({ flows: 1 });
  const inMs = (gate.dueAt?.() ?? 0) - clock.monotonic();
  expect(inMs).toBeGreaterThan(15);
  expect(inMs).toBeLessThan(30);
  expect(gate.due?.()).toEqual([]);
  await clock.advance(30);
  expect(gate.due?.()).toEqual([aFlow({ function: "f" })]);
  expect(gate.due?.()).toEqual([]);
  expect(room()).toBe(1);
});

test("a retry-after holds back its flow and no other one, also when the attempt was sent by an earlier owner", () => {
  const { clock, room, send, end } = startGate();
  send("other");
  end({ flowKey: "f", origin: aFlow({ function: "f" }) } as ActiveTask, OutcomeKind.FLOW_CONTROL, {
    retryAfterMs: 5_000,
  });
  expect(room("f")).toBe(0);
  expect(room("other")).toBeGreaterThan(0);
  expect(clock.monotonic()).toBe(0);
});

test("attempts that a stopping agent hands back say nothing about their downstream", async () => {
  const { clock, gate, send, end } = startGate();
  for (let index = 0; index < 50; index++) {
    end(send(), OutcomeKind.FLOW_CONTROL, { errorType: "AgentDraining" });
  }
  await clock.advance(2_000);
  expect(gate.slowedDown()).toEqual({ flows: 0, rate: 0 });
});

test("agents that are full make the window smaller, and what left without a word takes none of it", async () => {
  const { clock, gate, room, send, release } = startGate();
  const tasks = Array.from({ length: 50 }, () => send());
  for (const task of tasks.slice(0, 10)) {
    gate.onBusy?.(task);
    release(task);
  }
  await clock.advance(1_001);
  expect(room()).toBe(0);
  for (const task of tasks.slice(10)) release(task);
  expect(room()).toBe(35);
});

test("flows that are idle are forgotten", async () => {
  const { clock, room, send, end } = startGate();
  for (let index = 0; index < 300; index++) end(send(`f${index}`), OutcomeKind.SUCCEEDED);
  await clock.advance(60_000);
  for (let index = 300; index < 1_000; index++) send(`f${index}`);
  for (let index = 0; index < 300; index++) expect(room(`f${index}`)).toBe(Number.POSITIVE_INFINITY);
  for (let index = 300; index < 1_000; index++) expect(room(`f${index}`)).toBe(99);
});

/** How often the flows that are remembered are asked anything. */
function countAsks() {
  const prototype = Object.getPrototypeOf(createAdaptiveFlow(0)) as AdaptiveFlow;
  const names = Object.getOwnPropertyNames(prototype).filter(
    (name) => typeof Object.getOwnPropertyDescriptor(prototype, name)?.value === "function" && name !== "constructor",
  );
  const spies = names.map((name) => vi.spyOn(prototype, name as "room"));
  onTestFinished(() => {
    for (const spy of spies) spy.mockRestore();
  });
  return () => spies.reduce((sum, { mock }) => sum + mock.calls.length, 0);
}

const flowsMax = 10_000;

test("beyond as many flows as are remembered an attempt costs as little as before", () => {
  const { send, end } = startGate();
  const asked = countAsks();
  const askedPer = (flows: number) => {
    const before = asked();
    for (let index = 0; index < flows; index++) end(send(`f${index}`), OutcomeKind.SUCCEEDED);
    return (asked() - before) / flows;
  };
  const few = askedPer(flowsMax / 2);
  askedPer(flowsMax);
  for (let round = 0; round < 3; round++) expect(askedPer(flowsMax + 1_000)).toBeLessThan(few + 10);
  for (let index = 0; index < flowsMax; index++) send(`busy${index}`);
  expect(askedPer(flowsMax)).toBeLessThan(few + 10);
});

test("a flow with a rate, a pause or attempts is not forgotten for others, however many there are", async () => {
  const { clock, gate, room, send, end, shrinks } = startGate();
  send("running");
  for (let index = 0; index < 60; index++) {
    end(send("slow"), index < 50 ? OutcomeKind.SUCCEEDED : OutcomeKind.FLOW_CONTROL);
  }
  await clock.advance(1_100);
  expect(room("slow")).toBe(0);
  end(send("held"), OutcomeKind.FLOW_CONTROL, { retryAfterMs: 20_000 });
  for (let index = 0; index < 3 * flowsMax; index++) end(send(`f${index}`), OutcomeKind.SUCCEEDED);
  expect([room("slow"), room("held"), room("running")]).toEqual([0, 0, 99]);
  expect([gate.slowedDown().flows, await shrinks()]).toEqual([2, 1]);
});

test("while all that are remembered have attempts, no other flow is; it goes on as a new one would", () => {
  const { room, send, end } = startGate();
  const first = Array.from({ length: flowsMax }, (_, index) => send(`f${index}`));
  const other = Array.from({ length: 100 }, () => send("other"));
  expect(room("other")).toBe(Number.POSITIVE_INFINITY);
  for (const task of other) end(task, OutcomeKind.FLOW_CONTROL, { retryAfterMs: 1_000 });
  expect(room("other")).toBe(Number.POSITIVE_INFINITY);
  expect(room("f0")).toBe(99);
  for (const task of first) end(task, OutcomeKind.SUCCEEDED);
  send("other");
  expect(room("other")).toBe(99);
});

test("a flow whose tokens are used up is told when the next one comes, although nobody asks for its room", async () => {
  const { clock, gate, room, send, end } = startGate();
  for (let index = 0; index < 60; index++) {
    end(send(), index < 50 ? OutcomeKind.SUCCEEDED : OutcomeKind.FLOW_CONTROL);
  }
  await clock.advance(1_100);
  room();
  await clock.advance(30);
  expect(gate.due?.()).toHaveLength(1);
  for (let left = room(); left > 0; left--) send();
  const inMs = (gate.dueAt?.() ?? Number.POSITIVE_INFINITY) - clock.monotonic();
  expect(inMs).toBeLessThan(30);
  await clock.advance(30);
  expect(gate.due?.()).toEqual([aFlow({ function: "f" })]);
});

/** A flow that shrinks while the rows of some of its attempts are read; those are refused as well. */
async function shrinkWhileReading(readCount: number) {
  const started = startGate();
  const { clock, pick, admit, send, end } = started;
  const first = Array.from({ length: 40 }, () => send());
  await clock.advance(900);
  for (const task of first.splice(0, 20)) end(task, OutcomeKind.FLOW_CONTROL);
  await clock.advance(950);
  const read = Array.from({ length: readCount }, () => pick());
  expect(await started.shrinks()).toBe(0);
  await clock.advance(910);
  for (const task of first) end(task, OutcomeKind.SUCCEEDED);
  expect(await started.shrinks()).toBe(1);
  await clock.advance(10);
  for (const task of read) admit(task);
  await clock.advance(10);
  for (const task of read) end(task, OutcomeKind.FLOW_CONTROL);
  return started;
}

test.each([1, 2, 5, 20])(
  "an outage that %i attempts meet between a shrink and the end of their reads leaves a rate, and ends when it is over",
  async (readCount) => {
    const { clock, gate, room, send, end } = await shrinkWhileReading(readCount);
    const run = async (seconds: number, kind: OutcomeKind) => {
      let ends = 0;
      for (let ms = 0; ms < 1_000 * seconds; ms += 50) {
        await clock.advance(50);
        for (let left = room(); left > 0; left--, ends++) end(send(), kind);
        const { flows, rate } = gate.slowedDown();
        expect(flows === 0 || rate > 0).toBe(true);
      }
      return ends;
    };
    await run(30, OutcomeKind.FLOW_CONTROL);
    // It is tried about once a second, and no surge comes after it.
    const refused = await run(60, OutcomeKind.FLOW_CONTROL);
    expect(refused).toBeGreaterThan(20);
    expect(refused).toBeLessThan(300);
    await run(60, OutcomeKind.SUCCEEDED);
    expect(await run(10, OutcomeKind.SUCCEEDED)).toBeGreaterThan(100);
  },
);

test("refusals of what was being read at a shrink are no reason for a second one", async () => {
  const { clock, room, send, end, shrinks } = await shrinkWhileReading(10);
  for (let ms = 0; ms < 10_000; ms += 50) {
    await clock.advance(50);
    for (let left = room(); left > 0; left--) end(send(), OutcomeKind.SUCCEEDED);
  }
  expect(await shrinks()).toBe(1);
});

test("what an agent has from an earlier owner counts neither as started nor as refused, also when it was picked here", async () => {
  const { clock, gate, adopt, pick, end } = startGate();
  for (let index = 0; index < 30; index++) {
    end(adopt(), OutcomeKind.FLOW_CONTROL);
    end(pick(), OutcomeKind.FLOW_CONTROL);
  }
  await clock.advance(2_000);
  expect(gate.slowedDown()).toEqual({ flows: 0, rate: 0 });
});

test("what was not picked here frees no slot of what was", () => {
  const { adopt, send, release, room } = startGate();
  const adopted = [adopt(), adopt()];
  for (let index = 0; index < 100; index++) send();
  for (const task of adopted) release(task);
  expect(room()).toBe(0);
});

test.each(["is put back", "an agent turns out to have"])("an attempt that %s was not started here", async (fate) => {
  const { clock, pick, send, end, release, shrinks } = startGate();
  for (let index = 0; index < 5; index++) end(send(), OutcomeKind.FLOW_CONTROL);
  const read = Array.from({ length: 95 }, () => pick());
  await clock.advance(100);
  for (const task of read) {
    if (fate === "is put back") release(task);
    else end(task, OutcomeKind.SUCCEEDED);
  }
  for (let index = 0; index < 20; index++) end(send(), OutcomeKind.SUCCEEDED);
  await clock.advance(1_100);
  end(send(), OutcomeKind.SUCCEEDED);
  expect(await shrinks()).toBe(1);
});
