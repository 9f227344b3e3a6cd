import { FakeClock } from "@sluice/core/testing";
import { expect, test } from "vitest";
import { OwnersTime } from "./owners-time.ts";

const told = 1_700_000_000_000;

test("it is the time that the quickest frame leads to, whatever the wall clock says", async () => {
  const clock = new FakeClock();
  const time = new OwnersTime(clock);
  time.heard(told);
  await clock.advance(5_000);
  // A slow one: it was sent 3 s ago.
  time.heard(told + 2_000);
  expect(time.now()).toBe(told + 5_000);
  // A quick one shows that the first was on its way for 1 s.
  time.heard(told + 6_000);
  expect(time.now()).toBe(told + 6_000);
});

test("a frame that says nothing leaves the time as it is; until one does, the wall clock counts", async () => {
  const clock = new FakeClock();
  const time = new OwnersTime(clock);
  time.heard(0);
  expect(time.now()).toBe(clock.now());
  time.heard(told);
  await clock.advance(1_000);
  time.heard(0);
  expect(time.now()).toBe(told + 1_000);
});

test("what was heard long ago is forgotten: the monotonic clock may run fast", async () => {
  const clock = new FakeClock();
  const time = new OwnersTime(clock);
  time.heard(told);
  // The clock of the agent has gained a second in the two windows.
  await clock.advance(31_000);
  time.heard(told + 30_500);
  expect(time.now()).toBe(told + 31_000);
  await clock.advance(31_000);
  time.heard(told + 61_000);
  expect(time.now()).toBe(told + 61_500);
  await clock.advance(90_000);
  time.heard(told + 150_000);
  expect(time.now()).toBe(told + 150_000);
});
