import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type Choice, choose } from "./choose.ts";
import { scenarios } from "./scenarios/index.ts";

function chosen(choice: Partial<Choice>) {
  const nothing = { scenario: [], all: false, fast: false, random: false, minutes: 5, quick: false };
  return choose({ ...nothing, ...choice });
}
const namesOf = (choice: Partial<Choice>) => chosen(choice).chosen.map(({ name }) => name);
const longMsOf = (choice: Partial<Choice>) =>
  new Set(chosen(choice).chosen.map(({ workload }) => workload?.longMs?.join("-")));

test("what is named is chosen, and what nobody knows is told", () => {
  expect(chosen({ scenario: ["agent-kill", "agent-kil"] })).toMatchObject({
    chosen: [{ name: "agent-kill" }],
    unknown: ["agent-kil"],
  });
  expect(namesOf({ all: true })).toEqual(scenarios.map(({ name }) => name));
  expect(namesOf({ random: true, scenario: ["agent-kill"] })).toEqual(["agent-kill", "random"]);
});

test("long tasks last as long as they should, but where somebody asks for less", () => {
  const controls = new Set(scenarios.flatMap(({ mustBreak, name }) => (mustBreak ? [name] : [])));
  const others = scenarios.map(({ name }) => name).filter((name) => !controls.has(name));
  expect(longMsOf({ scenario: others })).toEqual(new Set([undefined]));
  expect(longMsOf({ random: true })).toEqual(new Set([undefined]));
  expect(longMsOf({ fast: true })).toEqual(new Set(["8000-15000"]));
  expect(longMsOf({ all: true, quick: true })).toEqual(new Set(["8000-15000"]));
});

test("the six that run in CI are those of the page", () => {
  const page = readFileSync(join(import.meta.dirname, "../docs/chaos.md"), "utf8");
  const sentence = /The six that run in CI are (.*?)\./s.exec(page)?.[1] ?? "";
  const named = [...sentence.matchAll(/`([a-z-]+)`/g)].map(([, name]) => name);
  expect(named).toHaveLength(6);
  expect(namesOf({ fast: true }).sort()).toEqual(named.sort());
});
