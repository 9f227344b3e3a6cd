import { expect, test } from "vitest";
import { createHealthSignal } from "./health.ts";

test("listeners hear of changes only, and no more once they have stopped", () => {
  const signal = createHealthSignal();
  const heard: boolean[] = [];
  const stop = signal.watch((isUp) => heard.push(isUp));
  signal.set(false);
  signal.set(true);
  signal.set(true);
  expect(signal.isUp).toBe(true);
  signal.set(false);
  stop();
  signal.set(true);
  expect(heard).toEqual([true, false]);
});
