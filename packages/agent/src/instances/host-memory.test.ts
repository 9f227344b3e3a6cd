import { FakeClock } from "@sluice/core/testing";
import { expect, test } from "vitest";
import { createMemoryWatch, readHostMemory } from "./host-memory.ts";

test("a host is short of memory below 5 %, and fine again above 8 %", async () => {
  const clock = new FakeClock();
  let availableMb = 1_000;
  let reads = 0;
  const isShort = createMemoryWatch({
    clock,
    read: () => {
      reads++;
      return { totalMb: 1_000, availableMb };
    },
  });
  const answers: boolean[] = [];
  for (const next of [60, 49, 60, 79, 81, 60]) {
    availableMb = next;
    await clock.advance(500);
    answers.push(isShort(), isShort());
  }
  expect(answers.filter((_, index) => index % 2 === 0)).toEqual([false, true, true, true, false, false]);
  expect(reads).toBe(6);
});

test("this host has memory, and some of it is available", () => {
  const { totalMb, availableMb } = readHostMemory();
  expect(totalMb).toBeGreaterThan(100);
  expect(availableMb).toBeGreaterThan(0);
  expect(availableMb).toBeLessThanOrEqual(totalMb);
});
