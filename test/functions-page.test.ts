// docs/functions.md against what the api-server takes.
import { expect, test } from "vitest";
import { parseChangedSettings, parseNewSettings } from "../packages/api-server/src/functions/settings.ts";
import { textOf } from "./deploy/compose-file.ts";

const rows = new Map(
  [...textOf("docs/functions.md").matchAll(/^\| `(\w+)` \|[^|]*\|([^|]*)\|([^|]*)\|/gm)].map(
    ([, name = "", range = "", byDefault = ""]) => [name, { range, byDefault }],
  ),
);
const defaults = parseNewSettings({ runtime: "nodejs20", handler: "index.handler" } as never);
const numberOf = (text: string) => Number(text.replaceAll(",", ""));
const units: Readonly<Record<string, number>> = { ms: 1, s: 1_000, h: 3_600_000 };

test("every setting has its row", () => {
  for (const name of Object.keys(defaults)) expect(rows.has(name), name).toBe(true);
});

test("what a row says of a number is so", () => {
  const numbers = Object.entries(defaults).filter(([, value]) => typeof value === "number");
  expect(numbers.length).toBeGreaterThan(10);
  for (const [name, value] of numbers) {
    const { range = "", byDefault = "" } = rows.get(name) ?? {};
    const [, min = "", minUnit = "", max = "", maxUnit = ""] =
      /([\d,.]+)(?: (ms|s|h))? to ([\d,.]+)(?: (ms|s|h))?/.exec(range) ?? [];
    const lowest = numberOf(min) * (units[minUnit] ?? 1);
    const highest = numberOf(max) * (units[maxUnit] ?? 1);
    const takes = (number: number) => {
      try {
        return parseChangedSettings({ [name]: number } as never) !== undefined;
      } catch {
        return false;
      }
    };
    expect([name, takes(lowest), takes(highest)]).toEqual([name, true, true]);
    const below = Number.isInteger(lowest) ? lowest - 1 : lowest / 2;
    expect([name, takes(below), takes(highest + 1)]).toEqual([name, false, false]);
    expect([name, numberOf(/[\d,]+/.exec(byDefault)?.[0] ?? "")]).toEqual([name, value]);
  }
});
