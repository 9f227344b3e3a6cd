import { expect, test } from "vitest";
import { StopSource } from "./stop-signal.ts";
import { within } from "./within.ts";

test("an abort tells those who listen, once and in order, and nobody who has left or comes later", () => {
  const stop = new StopSource();
  const told: string[] = [];
  const leaves = () => told.push("left");
  stop.addEventListener("abort", () => told.push("first"));
  stop.addEventListener("abort", leaves);
  stop.addEventListener("abort", () => told.push("second"));
  stop.removeEventListener("abort", leaves);
  expect(stop.aborted).toBe(false);
  stop.abort();
  stop.abort();
  stop.addEventListener("abort", () => told.push("late"));
  expect(stop.aborted).toBe(true);
  expect(told).toEqual(["first", "second"]);
});

test("a wait ends with its stop, or at once if that came before", async () => {
  const never = new Promise<string>(() => undefined);
  const stop = new StopSource();
  const waiting = within(never, stop);
  stop.abort();
  expect(await waiting).toBeUndefined();
  expect(await within(never, stop)).toBeUndefined();
  expect(await within(Promise.resolve(7), new StopSource())).toBe(7);
});
