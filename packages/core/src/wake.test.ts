import { expect, test } from "vitest";
import { FakeClock } from "./testing/index.ts";
import { createWake } from "./wake.ts";

const forever = new AbortController().signal;

test("a notify before the wait is not missed, and counts once", async () => {
  const clock = new FakeClock();
  const wake = createWake(clock);
  wake.notify();
  wake.notify();
  await wake.wait(forever);
  let woke = false;
  void wake.wait(forever).then(() => {
    woke = true;
  });
  await clock.settle();
  expect(woke).toBe(false);
  wake.notify();
  await clock.settle();
  expect(woke).toBe(true);
});

test("a wait ends at its time-out and at an abort, and leaves no timer behind", async () => {
  const clock = new FakeClock();
  const wake = createWake(clock);
  const controller = new AbortController();
  let ended = 0;
  void wake.wait(forever, 100).then(() => ended++);
  await clock.advance(100);
  expect(ended).toBe(1);
  void wake.wait(controller.signal, 1_000).then(() => ended++);
  controller.abort();
  await clock.settle();
  expect([ended, clock.pendingTimers]).toEqual([2, 0]);
});
