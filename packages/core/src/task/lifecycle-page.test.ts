// `docs/task-lifecycle.md` says what `transition.ts` does.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { finalStatuses, taskStatuses } from "./task.ts";
import { type LifeEvent, lifeEvents, transition } from "./transition.ts";

const page = readFileSync(new URL("../../../../docs/task-lifecycle.md", import.meta.url), "utf8");

/** The cells of the table under a heading, without the line below its head. */
function tableOf(heading: string): string[][] {
  const [, section = ""] = page.split(`\n## ${heading}\n`);
  const [own = ""] = section.split("\n## ");
  return own
    .split("\n")
    .filter((line) => line.startsWith("|") && !line.startsWith("| ---") && !line.startsWith("|---"))
    .map((line) =>
      line
        .slice(1, -1)
        .split("|")
        .map((cell) => cell.trim().replaceAll("`", "")),
    );
}

test("the table says what every event does in every status", () => {
  const [head = [], ...rows] = tableOf("Every transition");
  const written = new Map<string, string>();
  for (const [event, ...cells] of rows) {
    cells.forEach((cell, index) => {
      for (const status of (head[index + 1] ?? "").split(", ")) written.set(`${status} × ${event}`, cell);
    });
  }
  const real = taskStatuses.flatMap((status) =>
    lifeEvents.map((event) => [`${status} × ${event}`, transition(status, event) ?? "–"] as const),
  );
  expect(Object.fromEntries(written)).toEqual(Object.fromEntries(real));
});

test("every arrow of the diagram is a transition, and every status has its place in it", () => {
  const arrows = [...page.matchAll(/^ {4}(\w+) --> (\w+): (\w+)$/gm)].map(([, from, to, event]) => ({
    from,
    to,
    event,
  }));
  expect(arrows.length).toBeGreaterThan(12);
  for (const { from, to, event } of arrows) {
    const status = taskStatuses.find((name) => name === from);
    expect(lifeEvents).toContain(event);
    expect({ from, event, to: status && transition(status, event as LifeEvent) }).toEqual({ from, event, to });
  }
  expect(new Set([...arrows.map(({ from }) => from), ...arrows.map(({ to }) => to)])).toEqual(new Set(taskStatuses));
  const ends = [...page.matchAll(/^ {4}(\w+) --> \[\*\]$/gm)].map(([, from]) => from);
  expect(ends).toEqual([...finalStatuses]);
});

test("every status and every event is explained", () => {
  const [, ...statuses] = tableOf("The statuses");
  expect(statuses.map(([status]) => status)).toEqual([...taskStatuses]);
  expect(statuses.filter(([, , isFinal]) => isFinal === "yes").map(([status]) => status)).toEqual([...finalStatuses]);
  const [, ...events] = tableOf("The events");
  expect(events.map(([event]) => event)).toEqual([...lifeEvents]);
});
