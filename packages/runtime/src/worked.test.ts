import { expect, test } from "vitest";
import { workedMs } from "./worked.ts";

test("work is counted, and waiting is not", async () => {
  const before = workedMs();
  // The loop has to turn once before it counts.
  await new Promise((resolve) => setImmediate(resolve));
  let sum = 0;
  for (let index = 0; index < 20_000_000; index++) sum += Math.sqrt(index);
  expect(sum).toBeGreaterThan(0);
  await new Promise((resolve) => setImmediate(resolve));
  expect(workedMs()).toBeGreaterThan(before);
});
