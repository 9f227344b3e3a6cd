import { AccountId, FunctionName, TaskId } from "@sluice/core";
import type { FunctionRecord, TaskRow } from "@sluice/store";
import { describe, expect, test } from "vitest";
import { type PlanFacts, planRow, type RowContext, type RowPlan } from "./plan.ts";

const flow = { accountId: AccountId("a"), functionName: FunctionName("f") };
const row = (facts: Partial<TaskRow> = {}): TaskRow => ({
  ...flow,
  seq: 1,
  taskId: TaskId("t"),
  lane: 3,
  status: "Enqueued",
  priority: 2,
  attempt: 1,
  retries: 0,
  lostAttempts: 0,
  stamp: 5,
  enqueuedAt: 0,
  announcedAt: 0,
  dueAt: undefined,
  expiresAt: undefined,
  endedAt: undefined,
  stopRequested: false,
  tags: [],
  payload: new Uint8Array(),
  ...facts,
});
const facts = (changes: Partial<PlanFacts & RowContext> = {}): PlanFacts & RowContext => ({
  epoch: 5,
  queue: "q0",
  lanes: { from: 0, until: 32 },
  lane: 3,
  now: 1_000,
  allAnswered: true,
  isSuspect: false,
  function: { ...flow } as FunctionRecord,
  ...changes,
});

describe("a row whose turn has come", () => {
  test.each<[string, TaskRow | undefined, PlanFacts & RowContext, RowPlan]>([
    ["is dispatched", row(), facts(), "dispatch"],
    ["is parked while it passes the filter of a pause", row(), facts({ isPaused: true }), "pause"],
    ["is stopped although it is paused", row({ stopRequested: true }), facts({ isPaused: true }), "stop"],
    ["expires although it is paused", row({ expiresAt: 1_000 }), facts({ isPaused: true }), "expire"],
    ["is dispatched in the one lane of its flow", row(), facts({ home: { queue: "q0", lane: 3 } }), "dispatch"],
    ["is moved to that lane", row(), facts({ home: { queue: "q0", lane: 4 } }), "move"],
    ["is moved to that queue", row(), facts({ home: { queue: "q1", lane: 3 } }), "move"],
    [
      "is not moved while an agent may be running it",
      row({ stamp: 4 }),
      facts({ home: { queue: "q1", lane: 3 }, allAnswered: false }),
      "hold",
    ],
    ["is forgotten when it is gone", undefined, facts(), "forget"],
    ["is forgotten when it is final", row({ status: "Succeeded", endedAt: 1 }), facts(), "forget"],
    ["is left alone when its status is one of a newer release", row({ status: "Unknown" }), facts(), "forget"],
    ["is forgotten when it is parked", row({ dueAt: 5_000 }), facts(), "forget"],
    ["is forgotten when it moved to another lane", row({ lane: 4 }), facts(), "forget"],
    ["is forgotten when its lane is not mine", row({ lane: 3 }), facts({ lanes: { from: 16, until: 32 } }), "forget"],
    ["is held while an agent may be running it", row({ stamp: 4 }), facts({ allAnswered: false }), "hold"],
    [
      "is not held when nobody before me can have dispatched it",
      row({ stamp: 5 }),
      facts({ allAnswered: false }),
      "dispatch",
    ],
    ["is not held when every agent has answered", row({ stamp: 4 }), facts(), "dispatch"],
    [
      "is held although it is to be stopped",
      row({ stamp: 4, stopRequested: true }),
      facts({ allAnswered: false }),
      "hold",
    ],
    ["is held although it expired", row({ stamp: 4, expiresAt: 1 }), facts({ allAnswered: false }), "hold"],
    ["is lost when it was started and nobody has it", row({ status: "Running" }), facts(), "lost"],
    ["is lost when its agent died unheard", row({ stamp: 4 }), facts({ isSuspect: true }), "lost"],
    ["is not lost when only I can have dispatched it", row({ stamp: 5 }), facts({ isSuspect: true }), "dispatch"],
    ["is stopped when that was asked", row({ stopRequested: true }), facts(), "stop"],
    ["expires when its time has passed", row({ expiresAt: 1_000 }), facts(), "expire"],
    ["does not expire before", row({ expiresAt: 1_001 }), facts(), "dispatch"],
    ["is invalid without its function", row(), facts({ function: undefined }), "invalid"],
  ])("%s", (_name, given, known, plan) => {
    expect(planRow(given, known, known)).toBe(plan);
  });
});
