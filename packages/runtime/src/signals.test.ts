import { EventEmitter } from "node:events";
import { expect, test } from "vitest";
import { untilSignal } from "./signals.ts";

class FakeProcess extends EventEmitter {
  exitCode: number | undefined;
  exit(code: number) {
    this.exitCode = code;
  }
}

const untilAborted = (signal: AbortSignal) =>
  new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));

test("a signal aborts the run, and the run decides when it ends", async () => {
  const source = new FakeProcess();
  const steps: string[] = [];
  const running = untilSignal(async (signal) => {
    await untilAborted(signal);
    steps.push("aborted", (signal.reason as Error).message);
  }, source);
  source.emit("SIGTERM");
  await running;
  expect(steps).toEqual(["aborted", "received SIGTERM"]);
  expect(source.exitCode).toBeUndefined();
  expect(source.listenerCount("SIGINT") + source.listenerCount("SIGTERM")).toBe(0);
});

test("a second signal exits at once", () => {
  const source = new FakeProcess();
  void untilSignal(() => new Promise(() => {}), source);
  source.emit("SIGINT");
  expect(source.exitCode).toBeUndefined();
  source.emit("SIGINT");
  expect(source.exitCode).toBe(130);
});

test("a run that fails takes the handlers with it", async () => {
  const source = new FakeProcess();
  await expect(untilSignal(() => Promise.reject(new Error("lost the database")), source)).rejects.toThrow("lost");
  expect(source.listenerCount("SIGINT")).toBe(0);
});
