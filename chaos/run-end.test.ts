import { expect, test } from "vitest";
import { exitCodeOf, type RunEnd } from "./run-end.ts";

const passed = { scenario: "a", passed: true, notRun: undefined };
const failed = { scenario: "b", passed: false, notRun: undefined };
const notRun = { scenario: "c", passed: false, notRun: "no network namespaces here" };

function codeOf(results: RunEnd["results"], { named = [], wasInterrupted = false }: Partial<RunEnd> = {}): number {
  return exitCodeOf({ results, named, wasInterrupted });
}

test("what passed is 0, also beside scenarios of a group that the host cannot run", () => {
  expect([codeOf([passed]), codeOf([passed, notRun]), codeOf([passed, notRun], { named: ["a"] })]).toEqual([0, 0, 0]);
});

test("what failed or was interrupted is 1, whatever else there is", () => {
  expect([codeOf([passed, failed]), codeOf([failed, notRun], { named: ["c"] })]).toEqual([1, 1]);
  expect([codeOf([passed], { wasInterrupted: true }), codeOf([], { wasInterrupted: true })]).toEqual([1, 1]);
});

test("a scenario that was named and could not run is 2, and so is a run of nothing", () => {
  expect([codeOf([passed, notRun], { named: ["a", "c"] }), codeOf([notRun]), codeOf([])]).toEqual([2, 2, 2]);
});
