import { FakeClock } from "@sluice/core/testing";
import { expect, test } from "vitest";
import { serveUntilLeft } from "./leave.ts";

function startServing(serve: (stop: AbortSignal) => Promise<void> = untilAborted) {
  const clock = new FakeClock();
  const steps: string[] = [];
  const controller = new AbortController();
  const apiServer = { leave: () => void steps.push("the health says no") };
  const http = { leave: () => void steps.push("answers over HTTP end their connections") };
  const grpc = { leave: () => void steps.push("callers are sent elsewhere") };
  const run = serveUntilLeft({ clock, leaveMs: 500, apiServer, grpc, http }, async (stop) => {
    stop.addEventListener("abort", () => steps.push("calls end"));
    await serve(stop);
  });
  return { clock, steps, controller, ended: run(controller.signal) };
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve()));
}

test("first the health and the answers over HTTP say no, then callers are sent elsewhere, and only then calls end", async () => {
  const { clock, steps, controller, ended } = startServing();
  controller.abort();
  await clock.advance(499);
  const first = ["the health says no", "answers over HTTP end their connections"];
  expect(steps).toEqual(first);
  await clock.advance(1);
  await ended;
  expect(steps).toEqual([...first, "callers are sent elsewhere", "calls end"]);
});

test("a failure does not wait", async () => {
  const { clock, controller, ended } = startServing(async () => {
    throw new Error("a loop failed");
  });
  await expect(ended).rejects.toThrow("a loop failed");
  controller.abort();
  expect(clock.pendingTimers).toBe(0);
});
