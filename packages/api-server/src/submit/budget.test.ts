import { FakeClock } from "@sluice/core/testing";
import { expect, test } from "vitest";
import { createBudget } from "./budget.ts";

const forever = new AbortController().signal;

test("a large request is not overtaken by smaller ones that come later", async () => {
  const budget = createBudget({ clock: new FakeClock(), total: 10 });
  const order: string[] = [];
  const first = await budget.take(8, { signal: forever });
  const large = budget.take(10, { signal: forever }).then((release) => {
    order.push("large");
    return release;
  });
  const small = budget.take(1, { signal: forever }).then(() => order.push("small"));
  expect(budget.used).toBe(8);
  first?.();
  (await large)?.();
  await small;
  expect(order).toEqual(["large", "small"]);
  expect(budget.used).toBe(1);
});

test("who waits too long is refused as busy, and those behind go on", async () => {
  const clock = new FakeClock();
  const budget = createBudget({ clock, total: 10 });
  await budget.take(8, { signal: forever });
  const refused = budget.take(5, { signal: forever, waitMs: 100 }).catch((error: unknown) => error);
  const behind = budget.take(2, { signal: forever });
  await clock.advance(100);
  expect(await refused).toMatchObject({ code: "exhausted", reason: "SERVER_BUSY", retryAfterMs: 1000 });
  expect(await behind).toBeTypeOf("function");
  expect([budget.used, clock.pendingTimers]).toEqual([10, 0]);
});

test("a caller that gives up takes nothing", async () => {
  const budget = createBudget({ clock: new FakeClock(), total: 1 });
  const held = await budget.take(1, { signal: forever });
  const caller = new AbortController();
  const waiting = budget.take(1, { signal: caller.signal });
  caller.abort();
  expect(await waiting).toBeUndefined();
  held?.();
  held?.();
  expect(budget.used).toBe(0);
});

test("too many who wait are refused at once, and more than everything counts as everything", async () => {
  const budget = createBudget({ clock: new FakeClock(), total: 4, waitersMax: 1 });
  const all = await budget.take(100, { signal: forever });
  expect(budget.used).toBe(4);
  const waiting = budget.take(1, { signal: forever });
  await expect(budget.take(1, { signal: forever })).rejects.toMatchObject({ reason: "SERVER_BUSY" });
  all?.();
  expect(await waiting).toBeTypeOf("function");
});
