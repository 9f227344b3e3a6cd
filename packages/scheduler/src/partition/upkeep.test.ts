import { createWake } from "@sluice/core";
import { FakeClock } from "@sluice/core/testing";
import { expect, test } from "vitest";
import { defaultSchedulerConfig } from "../config.ts";
import type { PartitionContext } from "./context.ts";
import { unparkLoop } from "./upkeep.ts";

test("an owner whose lease is not trusted looks for due rows now and then, not without a pause (simulation seed 1036)", async () => {
  const clock = new FakeClock();
  const stop = new AbortController();
  let asked = 0;
  const context = {
    clock,
    config: { ...defaultSchedulerConfig, schedulerId: "s1" },
    draining: false,
    wakeUnpark: createWake(clock),
    isTrusted() {
      asked++;
      // A loop without a pause would never let this test go on.
      if (asked > 1_000) stop.abort();
      return false;
    },
  };
  const loop = unparkLoop(context as unknown as PartitionContext)(stop.signal);
  await clock.advance(10_000);
  stop.abort();
  await loop;
  expect(asked).toBeGreaterThan(5);
  expect(asked).toBeLessThan(20);
});
