import { OutcomeKind } from "@sluice/protocol";
import { expect, test } from "vitest";
import type { Outcome } from "./instances/pool.ts";
import { outcomeOf } from "./outcome.ts";
import { aFailure } from "./testing.ts";

const bytesMax = 256 * 1024;

test.each<[Outcome, object]>([
  [
    { kind: "succeeded", result: Buffer.alloc(bytesMax) },
    { kind: OutcomeKind.SUCCEEDED, errorType: "", endedAtMs: 9 },
  ],
  [
    { kind: "succeeded", result: Buffer.alloc(bytesMax + 1) },
    { kind: OutcomeKind.FAILED_FATAL, errorType: "ResultTooLarge", result: Buffer.alloc(0) },
  ],
  [
    aFailure({ class: "retryable", body: Buffer.from("{}") }),
    {
      kind: OutcomeKind.FAILED_RETRYABLE,
      errorType: "UnhandledInvocationError",
      errorMessage: "oops",
      errorBody: Buffer.from("{}"),
    },
  ],
  [aFailure({ class: "fatal" }), { kind: OutcomeKind.FAILED_FATAL }],
  [aFailure({ class: "flow_control", retryAfterMs: 1.5 }), { kind: OutcomeKind.FLOW_CONTROL, retryAfterMs: 2 }],
  [aFailure({ body: Buffer.alloc(bytesMax + 1) }), { errorBody: Buffer.alloc(0) }],
  [
    { kind: "invalid", reason: "InvalidFunction", message: "no such runtime" },
    { kind: OutcomeKind.INVALID, errorType: "InvalidFunction", errorMessage: "no such runtime" },
  ],
  [{ kind: "stopped" }, { kind: OutcomeKind.STOPPED, errorType: "" }],
])("outcome %# of the pool is told to owners in their terms", (outcome, expected) => {
  expect(outcomeOf(outcome, 9, bytesMax)).toMatchObject(expected);
});

test("a message without end is shortened", () => {
  expect(outcomeOf(aFailure({ message: "x".repeat(1_000_000) }), 9, bytesMax).errorMessage.length).toBeLessThan(10_000);
});
