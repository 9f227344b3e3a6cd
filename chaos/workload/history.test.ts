import { readFileSync } from "node:fs";
import { join } from "node:path";
import { checkedBy, checkers } from "@sluice/checkers";
import { expect, test } from "vitest";
import { historyOf, type Recorded } from "./history.ts";

const nothing: Recorded = {
  ...{ submitted: [], observations: [], views: [], executions: [], running: [], lives: [], rows: [], bugs: [] },
  ...{ deployedAt: 0, wallStart: 0 },
  rest: { at: 0, alive: [], found: [] },
};

const page = readFileSync(join(import.meta.dirname, "../../docs/guarantees.md"), "utf8");

/** Of the table of promises: which tools run the checker of each; with an asterisk, if only in part. */
function toolsByInvariant(): ReadonlyMap<string, string> {
  const rows = page.matchAll(/^\| (I\d+) \|.*\| `i\d+\.ts` \| ([a-z, \\*]+) \|$/gm);
  return new Map([...rows].map(([, invariant = "", tools = ""]) => [invariant, tools]));
}

test("what real processes show is judged by the checkers that the page names, and the rest by the simulation alone", () => {
  const judged = new Set(checkedBy(historyOf(nothing)));
  const [, table = ""] = /### Judged in part(.*?)\n## /s.exec(page) ?? [];
  const inPart = new Set([...table.matchAll(/^\| (I\d+) \|/gm)].map(([, invariant]) => invariant));
  expect(inPart.size).toBeGreaterThan(0);
  const expected = checkers.map(({ invariant }) => {
    const tools = inPart.has(invariant) ? "simulation, chaos\\*, drill\\*" : "simulation, chaos, drill";
    return [invariant, judged.has(invariant) ? tools : "simulation"] as const;
  });
  expect(Object.fromEntries(toolsByInvariant())).toEqual(Object.fromEntries(expected));
});

test("what could not be read at the end is not judged", () => {
  expect(checkedBy(historyOf({ ...nothing, rest: undefined }))).not.toContain("I14");
});
