// Shrinking, of runs made by hand and of one that really fails, because a protection is missing.
import type { Violation } from "@sluice/checkers";
import { expect, test } from "vitest";
import { createCounters } from "./counters.ts";
import type { FaultName } from "./faults.ts";
import { readCommandLine } from "./options.ts";
import { describeShrunk } from "./report.ts";
import { Runner } from "./runner.ts";
import { shrink } from "./shrink.ts";
import type { Outcome, SimulateOptions } from "./simulate.ts";

const names: readonly FaultName[] = ["agent crash", "scheduler freeze", "partition", "call lost", "block lost"];
const numbers = Array.from({ length: 30 }, (_, index) => index);

/** A world in which an invariant breaks whenever a fault and a strike are there. */
function imagined({ fault, strike }: { fault: FaultName; strike: number }) {
  return async ({ seed, without = [], onlyStrikes = numbers }: SimulateOptions): Promise<Outcome> => {
    const faults = names.filter((name) => !without.includes(name));
    const isBroken = faults.includes(fault) && onlyStrikes.includes(strike);
    const noise: Violation = { invariant: "I9", message: "something else" };
    return {
      seed,
      traceHash: "",
      violations: isBroken ? [{ invariant: "I3", message: "broken" }, noise] : [noise],
      counters: createCounters().values,
      plan: "",
      faults,
      strikes: onlyStrikes.map((index) => ({ index, at: index, kind: "agent crash", what: "a1" })),
      facts: { tasks: 0, executions: 0, endedAtMs: 0, traceLines: 0 },
      trace: [],
    };
  };
}

test("only the fault and the strike that break the invariant are left", async () => {
  const simulate = imagined({ fault: "call lost", strike: 17 });
  const run = { seed: 1 };
  const shrunk = await shrink({ run, outcome: await simulate(run), simulate, hasTime: () => true });
  expect(shrunk.outcome.faults).toEqual(["call lost"]);
  expect(shrunk.run.onlyStrikes).toEqual([17]);
  expect(shrunk.isSmallest).toBe(true);
  expect(describeShrunk(shrunk, { faults: 5, strikes: 30 }, undefined).at(-1)).toBe(
    '  replay: npm run sim -- --seed 1 --minutes 0.5 --without-faults "agent crash,scheduler freeze,partition,block lost" --only-strikes 17',
  );
});

test("when the time runs out, what is left is smaller, still fails, and is said not to be the smallest", async () => {
  const simulate = imagined({ fault: "call lost", strike: 17 });
  const run = { seed: 1 };
  let questions = 6;
  const shrunk = await shrink({ run, outcome: await simulate(run), simulate, hasTime: () => questions-- > 0 });
  expect(shrunk.isSmallest).toBe(false);
  expect(shrunk.outcome.faults.length).toBeLessThan(names.length);
  expect(shrunk.outcome.violations.map(({ invariant }) => invariant)).toContain("I3");
});

test("a run without a watchdog shrinks to fewer faults, and the command that is printed fails as well", {
  timeout: 900_000,
}, async () => {
  const control = "watchdog";
  await using runner = new Runner({ control });
  const failure = await firstFailure(runner, control);
  const { run, outcome } = failure;
  const shrunk = await shrink({ run, outcome, simulate: (next) => runner.run(next), hasTime: () => true });
  const left = shrunk.outcome.faults.length + shrunk.outcome.strikes.length;
  expect(left).toBeLessThan(outcome.faults.length + outcome.strikes.length);
  const before = { faults: outcome.faults.length, strikes: outcome.strikes.length };
  const command = describeShrunk(shrunk, before, control).at(-1) ?? "";
  const [replayed] = readCommandLine(argumentsOf(command)).runs;
  const again = await runner.run(replayed as SimulateOptions);
  expect(again.traceHash).toBe(shrunk.outcome.traceHash);
  expect(again.violations[0]?.invariant).toBe(outcome.violations[0]?.invariant);
});

/** With something to leave out. */
async function firstFailure(runner: Runner, control: string) {
  const { runs } = readCommandLine(["--seeds", "60", "--control", control]);
  for (const run of runs) {
    const outcome = await runner.run(run);
    const isRich = outcome.faults.length > 2 && outcome.strikes.length > 2;
    if (outcome.violations.length > 0 && isRich) return { run, outcome };
  }
  throw new Error("60 seeds without a watchdog broke nothing");
}

/** As a shell would split them. */
function argumentsOf(command: string): string[] {
  const [, flags = ""] = command.split(" -- ");
  return [...flags.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? "");
}
