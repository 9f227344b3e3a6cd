import fc from "fast-check";
import { expect, test } from "vitest";
import { finalStatuses, isFinal, type TaskStatus, taskStatuses } from "./task.ts";
import { type LifeEvent, lifeEvents, transition } from "./transition.ts";

const histories = fc.array(fc.constantFrom(...lifeEvents), { maxLength: 40 });
const live = (events: readonly LifeEvent[]) =>
  events.reduce<TaskStatus>((status, event) => transition(status, event) ?? status, "Enqueued");

test("nothing leaves a final status", () => {
  for (const status of finalStatuses) {
    for (const event of lifeEvents) expect(transition(status, event)).toBeUndefined();
  }
});

test("every status can be reached, and from every status that is not final a task can end", () => {
  const reached = new Set<TaskStatus>(["Enqueued"]);
  for (const status of reached) {
    const next = lifeEvents.map((event) => transition(status, event)).filter((after) => after !== undefined);
    for (const after of next) reached.add(after);
    expect(isFinal(status) || next.some(isFinal)).toBe(true);
  }
  expect([...reached].sort()).toEqual([...taskStatuses].sort());
});

test("a task is stopped only if somebody asked for it", () => {
  fc.assert(
    fc.property(histories, (events) => live(events) !== "Stopped" || events.includes("stop_requested")),
    { numRuns: 2000 },
  );
});

test("once asked to stop, a task never waits or runs again in the eyes of its readers", () => {
  fc.assert(
    fc.property(histories, histories, (before, after) => {
      const asked = live([...before, "stop_requested"]);
      const status = after.reduce<TaskStatus>((now, event) => transition(now, event) ?? now, asked);
      return status === "Stopping" || isFinal(status);
    }),
    { numRuns: 2000 },
  );
});

test("a task that was started does not expire without a new attempt in between", () => {
  expect(transition("Running", "expired")).toBeUndefined();
  expect(transition("Retrying", "expired")).toBe("Expired");
});

test("an attempt too short to be written as running may end as any other", () => {
  for (const event of ["succeeded", "failed_with_retries_left", "failed_for_good", "throttled", "lost"] as const) {
    expect(transition("Enqueued", event)).toBe(transition("Running", event));
    expect(transition("Retrying", event)).toBe(transition("Running", event));
  }
});
