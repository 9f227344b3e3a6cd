import { aFlow, FakeClock } from "@sluice/core/testing";
import { OutcomeKind } from "@sluice/protocol";
import { silentLogger } from "@sluice/runtime";
import { Registry } from "prom-client";
import { expect, test } from "vitest";
import { schedulerMetrics } from "../../metrics.ts";
import type { GatedFlow } from "../gates.ts";
import type { ActiveTask } from "../memory.ts";
import { adaptiveGate } from "./adaptive.ts";

const others = { ofFlow: 0, ofAccount: 0, activeOf: () => 0 };

function startGate() {
  const clock = new FakeClock();
  const gate = adaptiveGate({ clock, log: silentLogger, metrics: schedulerMetrics(new Registry()) });
  const active = new Map<string, number>();
  const flowOf = (name: string): GatedFlow => {
    const origin = { ...aFlow({ function: name }), lane: 0, priority: 2 as const, enqueuedAt: 0 };
    return { origin, flowKey: name, function: undefined, active: active.get(name) ?? 0 };
  };
  const count = (name: string, change: number) => active.set(name, (active.get(name) ?? 0) + change);
  return {
    ...{ clock, gate },
    room: (name = "f") => gate.room(flowOf(name)),
    send(name = "f"): ActiveTask {
      const flow = flowOf(name);
      const task = { flowKey: name, origin: flow.origin } as ActiveTask;
      gate.onPicked?.(flow);
      gate.admits?.(flow, task, others);
      count(name, 1);
      return task;
    },
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

test("flows that are idle are forgotten, and never more than a bound are remembered", async () => {
  const { clock, gate, room, send, end } = startGate();
  for (let index = 0; index < 300; index++) end(send(`f${index}`), OutcomeKind.SUCCEEDED);
  await clock.advance(60_000);
  for (let index = 300; index < 1_000; index++) send(`f${index}`);
  expect(room("f0")).toBe(Number.POSITIVE_INFINITY);
  for (let index = 1_000; index < 25_000; index++) send(`f${index}`);
  expect(room("f1000")).toBe(Number.POSITIVE_INFINITY);
  expect(gate.slowedDown().flows).toBe(0);
});
