import { expect, test } from "vitest";
import { flagsOf, readCommandLine } from "./options.ts";

test("many seeds are runs of their own, on every processor, and the first failure is shrunk for a minute", () => {
  const { runs, isSingle, processes, shrinkMs, isVerbose } = readCommandLine(["--seeds", "3", "--from", "10"]);
  expect(runs.map(({ seed }) => seed)).toEqual([10, 11, 12]);
  expect(runs[0]).toMatchObject({ minutes: 1 });
  expect({ isSingle, shrinkMs, isVerbose }).toEqual({ isSingle: false, shrinkMs: 60_000, isVerbose: false });
  expect(processes).toBeGreaterThan(0);
  expect(readCommandLine(["--no-shrink"]).shrinkMs).toBe(0);
});

test("one seed is looked at closely, and shrunk only when asked", () => {
  expect(readCommandLine(["--seed", "7"])).toMatchObject({ isSingle: true, isVerbose: true, shrinkMs: 0 });
  expect(readCommandLine(["--seed", "7", "--shrink"]).shrinkMs).toBeGreaterThan(0);
});

test("a control brings the faults that it takes", () => {
  const [run] = readCommandLine(["--seed", "7", "--control", "watchdog"]).runs;
  expect(run?.focus).toContain("agent crash");
});

test("the options of a run lead back to it", () => {
  const run = { seed: 7, minutes: 0.2, without: ["agent crash", "call lost"], onlyStrikes: [3, 17] } as const;
  const quoted = flagsOf(run, undefined);
  expect(quoted).toBe('--seed 7 --minutes 0.2 --without-faults "agent crash,call lost" --only-strikes 3,17');
  const flags = [
    "--seed",
    "7",
    "--minutes",
    "0.2",
    "--without-faults",
    "agent crash,call lost",
    "--only-strikes",
    "3,17",
  ];
  expect(readCommandLine(flags).runs).toEqual([run]);
  expect(flagsOf({ seed: 7, onlyStrikes: [] }, undefined)).toContain("--only-strikes none");
  expect(readCommandLine(["--seed", "7", "--only-strikes", "none"]).runs[0]?.onlyStrikes).toEqual([]);
});
