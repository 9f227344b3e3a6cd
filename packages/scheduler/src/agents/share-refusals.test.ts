import { AccountId, type Priority } from "@sluice/core";
import { FakeClock } from "@sluice/core/testing";
import { expect, test } from "vitest";
import { ShareRefusals } from "./share-refusals.ts";

const asker = (account: string, priority: Priority = 1) => ({ accountId: AccountId(account), priority });

test("an account that is refused for its share is asked for after 0.5 s, 1 s … 8 s, and at once when it got room", async () => {
  const clock = new FakeClock();
  const refusals = new ShareRefusals(clock);
  for (const waitMs of [500, 1_000, 2_000, 4_000, 8_000, 8_000]) {
    refusals.add(asker("busy"));
    await clock.advance(waitMs - 1);
    expect(refusals.has(asker("busy"))).toBe(true);
    await clock.advance(1);
    expect(refusals.has(asker("busy"))).toBe(false);
  }
  refusals.add(asker("busy"));
  refusals.delete(AccountId("busy"));
  expect(refusals.has(asker("busy"))).toBe(false);
  refusals.add(asker("busy"));
  await clock.advance(500);
  expect(refusals.has(asker("busy"))).toBe(false);
});

test("it is refused for tasks of that priority and less urgent ones, and nobody else with it", () => {
  const refusals = new ShareRefusals(new FakeClock());
  refusals.add(asker("busy", 1));
  expect([refusals.has(asker("busy", 0)), refusals.has(asker("busy", 2)), refusals.has(asker("other", 2))]).toEqual([
    ...[false, true, false],
  ]);
});

test("a refusal that is long over is forgotten", async () => {
  const clock = new FakeClock();
  const refusals = new ShareRefusals(clock);
  refusals.add(asker("busy"));
  refusals.add(asker("busy"));
  await clock.advance(20_000);
  refusals.add(asker("busy"));
  await clock.advance(500);
  expect(refusals.has(asker("busy"))).toBe(false);
});
