import fc from "fast-check";
import { expect, test } from "vitest";
import { seededRandom } from "../testing/index.ts";
import { decideRetry, type EndedAttempt, type ErrorClass, errorClasses } from "./retry.ts";

const attempts = fc.record({
  class: fc.constantFrom(...errorClasses),
  retries: fc.integer({ min: 0, max: 8 }),
  lostAttempts: fc.integer({ min: 0, max: 3 }),
  throttledAttempts: fc.integer({ min: 0, max: 10_000 }),
  retryAfterMs: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 500 }), fc.integer({ min: 1, max: 10_000_000 })),
  config: fc.record({ maxAsyncRetryAttempts: fc.integer({ min: 0, max: 8 }) }),
});
const worst = { next: () => 1 - Number.EPSILON, fork: () => worst, hex: () => "" };
const best = { next: () => 0, fork: () => best, hex: () => "" };
const decide = (ended: Partial<EndedAttempt> & { class: ErrorClass }, random = worst) =>
  decideRetry({ retries: 0, lostAttempts: 0, ...ended }, random);

test("only a retryable failure consumes a retry, and only a loss counts as lost", () => {
  fc.assert(
    fc.property(attempts, fc.nat(), (ended, seed) => {
      const decision = decideRetry(ended, seededRandom(seed));
      if (decision.kind === "give_up") return ended.class !== "flow_control";
      return (
        decision.retries === ended.retries + (ended.class === "retryable" ? 1 : 0) &&
        decision.lostAttempts === ended.lostAttempts + (ended.class === "lost" ? 1 : 0)
      );
    }),
  );
});

test("delays are whole milliseconds within the bounds of their class", () => {
  fc.assert(
    fc.property(attempts, fc.nat(), (ended, seed) => {
      const decision = decideRetry(ended, seededRandom(seed));
      if (decision.kind === "give_up") return true;
      const maxMs = ended.class === "flow_control" ? 60_000 : 300_000;
      const minMs = Math.max(500, Math.min(ended.retryAfterMs, maxMs));
      return Number.isInteger(decision.delayMs) && decision.delayMs >= minMs && decision.delayMs <= maxMs;
    }),
  );
});

test("a task that always fails has as many retries as it may have", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 8 }), (maxAsyncRetryAttempts) => {
      let retries = 0;
      for (let attempt = 1; ; attempt++) {
        const decision = decide({ class: "retryable", retries, config: { maxAsyncRetryAttempts } });
        if (decision.kind === "give_up") return attempt === maxAsyncRetryAttempts + 1;
        retries = decision.retries;
      }
    }),
  );
});

test("the longest delay doubles from 1 s to 5 min", () => {
  const config = { maxAsyncRetryAttempts: 8 };
  const longest = [0, 1, 2, 3, 7].map((retries) => decide({ class: "retryable", retries, config }));
  expect(longest).toMatchObject([1_000, 2_000, 4_000, 8_000, 128_000].map((delayMs) => ({ delayMs })));
  const capped = decide({ class: "retryable", retries: 12, config: { maxAsyncRetryAttempts: 20 } });
  expect(capped).toMatchObject({ delayMs: 300_000 });
  expect(decide({ class: "retryable", retries: 3 - 1 }, best)).toMatchObject({ delayMs: 500 });
});

test("flow control backs off to a minute, for ever", () => {
  const longest = [0, 1, 5, 6, 1_000_000].map((throttledAttempts) =>
    decide({ class: "flow_control", throttledAttempts }),
  );
  expect(longest).toMatchObject([1_000, 2_000, 32_000, 60_000, 60_000].map((delayMs) => ({ delayMs })));
});

test("who is told when to come back comes back no earlier, and not all at once", () => {
  expect(decide({ class: "flow_control", retryAfterMs: 10_000 }, best)).toMatchObject({ delayMs: 10_000 });
  expect(decide({ class: "flow_control", retryAfterMs: 10_000 }, worst)).toMatchObject({ delayMs: 12_000 });
  expect(decide({ class: "flow_control", retryAfterMs: 3_600_000 })).toMatchObject({ delayMs: 60_000 });
});

test("a handler that asks to come back at once comes back no earlier than others, and not all at once", () => {
  expect(decide({ class: "flow_control", retryAfterMs: 1 }, best)).toMatchObject({ delayMs: 500 });
  expect(decide({ class: "flow_control", retryAfterMs: 1 }, worst)).toMatchObject({ delayMs: 600 });
});

test("a task is lost three times and then fails, however many retries it has left", () => {
  const config = { maxAsyncRetryAttempts: 8 };
  expect(decide({ class: "lost", lostAttempts: 2, config })).toMatchObject({
    kind: "retry",
    lostAttempts: 3,
    retries: 0,
  });
  expect(decide({ class: "lost", lostAttempts: 3, config })).toEqual({ kind: "give_up", reason: "lost_too_often" });
});

test("a fatal failure is final", () => {
  expect(decide({ class: "fatal" })).toEqual({ kind: "give_up", reason: "fatal" });
});
