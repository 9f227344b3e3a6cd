// What every queue must do, as tests; each driver's own test calls `describeQueue`. They wait for facts, since a real queue
// takes its own time, and prove that a block is hidden by seeing a later one first.
import { describe, test } from "vitest";
import { describeDelivery } from "./conformance/delivery.ts";
import { neverLoses } from "./conformance/history.ts";
import { describeSignals } from "./conformance/signals.ts";
import { describeTakeOver } from "./conformance/take-over.ts";
import type { QueueUnderTest } from "./conformance/world.ts";

export type { QueueUnderTest } from "./conformance/world.ts";

export interface QueueSuiteOptions {
  /** Random histories to try; default 50. Fewer where time is real. */
  readonly histories?: number;
}

export function describeQueue(
  name: string,
  open: () => Promise<QueueUnderTest>,
  { histories = 50 }: QueueSuiteOptions = {},
): void {
  describe(`the queue ${name}`, () => {
    describeDelivery(open);
    describeTakeOver(open);
    test("delivers every number to somebody until it is acked", () => neverLoses(open, histories));
  });
  describe(`the signals ${name}`, () => describeSignals(open));
}
