import { describe, expect, test } from "vitest";
import type { AgentEvent, Execution, History } from "./history.ts";
import { i9 } from "./i9.ts";
import { history, inserted, park, run, written } from "./testing.ts";

const dispatched = { kind: "dispatched", agentId: "a1", incarnation: 1, queue: "q0", lane: 0, epoch: 5 } as const;
const sent: AgentEvent = { ...dispatched, at: 5, seq: 1, attempt: 1 };
const room: AgentEvent = { kind: "asked for room", at: 15, agentId: "a1", incarnation: 1, priority: 0 };
const alive = { agentId: "a1", incarnation: () => 1, upAt: 0, downAt: undefined };
const again = { ...park(2), reason: "throttle", retries: 0 } as ReturnType<typeof park>;

/** An attempt that ended at 20, and was put back at 100. */
function putBack(how: Execution["how"], more: Partial<History> = {}) {
  const store = [inserted(), inserted({ seq: 2, taskId: "task-2", priority: 0 }), written(again)];
  return i9.check(history({ store, executions: [run({ how })], agents: [sent], lives: [alive], ...more }));
}

describe("an attempt that is put back, and counts for nobody", () => {
  test("was stopped for something", () => {
    expect(putBack("stopped")).toHaveLength(1);
    expect(putBack("ok")).toHaveLength(1);
  });
  test("met flow control", () => {
    expect(putBack("throttled")).toEqual([]);
  });
  test("or somebody wanted an end of it", () => {
    expect(putBack("stopped", { stops: [{ at: 12, account: "main", taskId: "task-1" }] })).toEqual([]);
    expect(putBack("stopped", { stops: [{ at: 12, account: "main", taskId: "task-2" }] })).toHaveLength(1);
  });
  test("or its agent was shut down", () => {
    const stopped = { ...alive, stoppedAt: 15, downAt: 50 };
    expect(putBack("stopped", { lives: [stopped] })).toEqual([]);
    for (const wrong of [{ agentId: "a2" }, { stoppedAt: undefined }, { stoppedAt: 25 }, { upAt: 0, downAt: 4 }])
      expect(putBack("stopped", { lives: [{ ...stopped, ...wrong }] })).toHaveLength(1);
  });
});

describe("a more urgent one", () => {
  test("had its owner ask that agent for room, while the other one was there", () => {
    expect(putBack("stopped", { agents: [sent, room] })).toEqual([]);
    for (const wrong of [{ agentId: "a2" }, { incarnation: 2 }, { at: 25 }, { at: 1 }, { priority: 2 as const }])
      expect(putBack("stopped", { agents: [sent, { ...room, ...wrong }] })).toHaveLength(1);
  });
  test("had it, although another agent ran the attempt before, and died with the outcome", () => {
    for (const dead of [{ agentId: "a0" }, { incarnation: 0 }]) {
      const executions = [run({ how: "failed", startedAt: 1, endedAt: 2, ...dead })];
      expect(putBack("stopped", { agents: [sent, room], executions })).toEqual([]);
    }
  });
  test("waited at that agent for an instance", () => {
    const urgent: AgentEvent = { ...dispatched, at: 12, seq: 2, attempt: 1 };
    expect(putBack("stopped", { agents: [sent, urgent] })).toEqual([]);
    expect(putBack("stopped", { agents: [sent, { ...urgent, agentId: "a2" }] })).toHaveLength(1);
    const executions = [run({ how: "stopped" }), run({ seq: 2, startedAt: 8, endedAt: 9 })];
    expect(putBack("stopped", { agents: [sent, { ...urgent, at: 6 }], executions })).toHaveLength(1);
  });
});
