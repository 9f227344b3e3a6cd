import { aFlow, seededRandom } from "@sluice/core/testing";
import { type AttemptOutcome, OutcomeKind } from "@sluice/protocol";
import { expect, test } from "vitest";
import type { ActiveTask } from "./memory.ts";
import { outcomeWrite } from "./outcome.ts";

const task = { ...aFlow(), seq: 1, attempt: 2, retries: 1, lostAttempts: 0, origin: { lane: 3 } };
const facts = { now: 1_000, maxAsyncRetryAttempts: 3, lostAttemptsMax: 3, random: seededRandom(1) };

function writeOf(outcome: Partial<AttemptOutcome>, { stopMarked = false } = {}) {
  const none = { result: Buffer.alloc(0), errorType: "", errorMessage: "", errorBody: Buffer.alloc(0) };
  const ended = {
    outcome: { ...none, kind: OutcomeKind.SUCCEEDED, retryAfterMs: 0, endedAtMs: 900, ...outcome },
    startedAt: 500,
    agentId: "a1",
    instanceId: undefined,
  };
  return outcomeWrite({ ...task, stopMarked } as unknown as ActiveTask, ended, facts);
}

test("a kind of outcome that only a newer release knows is a failure, which is retried", () => {
  expect(writeOf({ kind: 99 as OutcomeKind })).toMatchObject({
    kind: "park",
    status: "Retrying",
    nextAttempt: 3,
    retries: 2,
  });
});

test("an attempt that its agent hands back goes on as the next attempt, without counting as a failure", () => {
  const handedBack = writeOf({ kind: OutcomeKind.FLOW_CONTROL, errorType: "AgentDraining" });
  expect(handedBack).toMatchObject({ kind: "park", status: "Enqueued", nextAttempt: 3, retries: 1, lostAttempts: 0 });
});

test("a stopped attempt ends its task only if a user asked for it; else it was preempted, and goes on as the next one", () => {
  const kind = OutcomeKind.STOPPED;
  expect(writeOf({ kind }, { stopMarked: true })).toMatchObject({ kind: "settle", status: "Stopped" });
  const preempted = writeOf({ kind });
  expect(preempted).toMatchObject({ kind: "park", status: "Enqueued", nextAttempt: 3, retries: 1, lostAttempts: 0 });
  expect(preempted.events.at(-1)).toMatchObject({ status: "Enqueued", detail: { type: "Preempted" } });
});
