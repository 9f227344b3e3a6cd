import { expect, test } from "vitest";
import { type Loop, runAll } from "./loops.ts";

const untilAborted: Loop = (signal) =>
  new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));

test("loops end together when the signal aborts", async () => {
  const controller = new AbortController();
  const running = runAll(controller.signal, untilAborted, untilAborted);
  controller.abort();
  await expect(running).resolves.toBeUndefined();
});

test("the first failure ends the others and is thrown", async () => {
  const failing: Loop = () => Promise.reject(new Error("broken"));
  let hasEnded = false;
  const other: Loop = async (signal) => {
    await untilAborted(signal);
    hasEnded = true;
  };
  await expect(runAll(new AbortController().signal, other, failing)).rejects.toThrow("broken");
  expect(hasEnded).toBe(true);
});
