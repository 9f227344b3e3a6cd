import { AccountId } from "@sluice/core";
import { seededRandom } from "@sluice/core/testing";
import { expect, test } from "vitest";
import { createStreamGuard } from "./stream-guard.ts";

const account = AccountId("acme");

test("nobody is refused while the stream has room, or nobody knows, or it has no bounds", () => {
  for (const fullness of [0, 0.79, undefined]) expect(refusal({ fullness, waiting: 1_000_000 })).toBeUndefined();
  expect(refusal({ fullness: 1, waiting: 1_000_000, fullnessMax: 1 })).toBeUndefined();
});

test("who has much waiting is refused first, and told when to come back", () => {
  expect(refusal({ fullness: 0.8, waiting: 9_999 })).toBeUndefined();
  expect(refusal({ fullness: 0.8, waiting: undefined })).toBeUndefined();
  const error = refusal({ fullness: 0.8, waiting: 10_000 });
  expect(error).toMatchObject({ code: "exhausted", reason: "QUEUE_FULL" });
  expect(error?.message).toMatch(/^the queue is 80 % full, and it takes nothing from accounts with more than 10000 /);
  expect(error?.retryAfterMs).toBeGreaterThanOrEqual(4_000);
  expect(error?.retryAfterMs).toBeLessThanOrEqual(6_000);
});

test("when half of the rest is gone as well, everybody is refused, not all for the same time", () => {
  expect(refusal({ fullness: 0.899, waiting: 0 })).toBeUndefined();
  const delays = Array.from({ length: 20 }, (_, seed) => refusal({ fullness: 0.9, waiting: 0, seed })?.retryAfterMs);
  expect(new Set(delays).size).toBeGreaterThan(10);
  for (const delay of delays) expect(delay).toBeGreaterThanOrEqual(12_000);
});

interface Scene {
  readonly fullness: number | undefined;
  readonly waiting: number | undefined;
  readonly fullnessMax?: number;
  readonly seed?: number;
}

function refusal({ fullness, waiting, fullnessMax = 0.8, seed = 1 }: Scene) {
  const random = seededRandom(seed);
  const guard = createStreamGuard({ random, fullness: () => fullness, waitingOf: () => waiting, fullnessMax });
  return guard.refusalOf(account);
}
