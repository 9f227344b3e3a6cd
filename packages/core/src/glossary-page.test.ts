// `docs/glossary.md` explains every word that the code exports as one of the system's.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { parkReasons, taskStatuses } from "./task/task.ts";

const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), "utf8");
const page = read("docs/glossary.md");
const rows = [...page.matchAll(/^\| (?!---)([^|]+) \| ([^|]+) \|$/gm)].map(([, word = "", meaning = ""]) => ({
  word,
  meaning,
}));
const words = rows.map(({ word }) => word.replaceAll("`", ""));

test("every status is explained", () => {
  expect(words).toEqual(expect.arrayContaining([...taskStatuses]));
});

test("every reason for parking is explained", () => {
  expect(words).toEqual(expect.arrayContaining([...parkReasons]));
});

test("every port is explained", () => {
  const contracts = [
    "packages/store/src/index.ts",
    "packages/queue/src/index.ts",
    "packages/coordination/src/index.ts",
  ];
  const ports = contracts.flatMap((path) =>
    [...read(path).matchAll(/export interface (\w+) extends AsyncDisposable/g)].map(([, name]) => name),
  );
  expect(ports).toEqual(expect.arrayContaining(["Store", "TaskQueue", "Signals", "Coordinator"]));
  expect(words).toEqual(expect.arrayContaining([...ports, "Clock", "Random", "Logger"]));
});

test("no word is explained twice, and none without a sentence", () => {
  const explained = words.filter((word) => !["word", "status", "reason", "verb", "port"].includes(word));
  expect(new Set(explained).size).toBe(explained.length);
  expect(rows.length).toBeGreaterThan(70);
  expect(
    rows.filter(
      ({ word, meaning }) =>
        meaning !== "meaning" && meaning !== "what happens" && !meaning.endsWith(".") && word !== "---",
    ),
  ).toEqual([]);
});
