// docs/functions.md against what the api-server takes, and what agents make of it.
import { expect, test } from "vitest";
import { instanceEnvironment } from "../packages/agent/src/instances/environment.ts";
import { progressBytesMax } from "../packages/agent/src/instances/frames.ts";
import { parseEnvironment } from "../packages/api-server/src/functions/environment.ts";
import { parseChangedSettings, parseNewSettings } from "../packages/api-server/src/functions/settings.ts";
import { textOf } from "./deploy/compose-file.ts";

const page = textOf("docs/functions.md");
const rows = new Map(
  [...page.matchAll(/^\| `(\w+)` \|[^|]*\|([^|]*)\|([^|]*)\|/gm)].map(([, name = "", range = "", byDefault = ""]) => [
    name,
    { range, byDefault },
  ]),
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

test("a variable is refused, or the process has it: the page says which", () => {
  const [, refused = "", kept = ""] = /Refused \(`\w+`\)(.*?)The process has every other(.*?)\n\n/s.exec(page) ?? [];
  const namesIn = (text: string) => [...text.matchAll(/`(_|__proto__|[A-Z][A-Z0-9_]+)`/g)].map(([, name = ""]) => name);
  const ofAgent = Object.keys(environmentWith({})).map((name) => (name.startsWith("FC_") ? "FC_" : name));
  expect(namesIn(refused)).toEqual(
    expect.arrayContaining([...new Set(ofAgent)].filter((name) => !/^(TZ|LANG)$/.test(name))),
  );
  // Prefixes, in any case of letters.
  const [, prefixes = "", names = ""] = /(.*?)in capital or small letters(.*)/s.exec(refused) ?? [];
  const withPrefix = namesIn(prefixes).flatMap((prefix) => [`${prefix}ANY`, `${prefix.toLowerCase()}any`]);
  expect([withPrefix.length, namesIn(names).length]).toEqual([10, 39]);
  for (const name of [...withPrefix, ...namesIn(names)]) {
    expect(() => parseEnvironment({ [name]: "mine" }), name).toThrow("is reserved");
    expect([
      name,
      Object.entries(environmentWith({ [name]: "mine" }))
        .flat()
        .includes("mine"),
    ]).toEqual([name, false]);
  }
  expect(namesIn(kept).length).toBeGreaterThan(5);
  for (const name of namesIn(kept)) {
    expect([name, parseEnvironment({ [name]: "mine" })[name], environmentWith({ [name]: "mine" })[name]]).toEqual([
      ...[name, "mine", "mine"],
    ]);
  }
});

test("progress may be as long as the page says", () => {
  expect(page).toContain(`One of more than ${progressBytesMax / 1024} KiB`);
});

function environmentWith(environment: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const spec = { environment, functionName: "f", handler: "h", memoryMb: 1, accountId: "a", revision: 1, runtime: "r" };
  const parts = { spec: spec as never, instanceId: "i", codeDir: "/code", temporaryDir: "/tmp", markers: {} };
  return instanceEnvironment(parts, { PATH: "/bin", HOME: "/", TZ: "UTC", LANG: "C" });
}
