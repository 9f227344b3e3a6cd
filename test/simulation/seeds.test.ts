import { expect, test } from "vitest";
import { Runner } from "./runner.ts";
import { runSeeds } from "./seeds.ts";
import type { Outcome, SimulateOptions } from "./simulate.ts";

test("a process that cannot start ends the run", { timeout: 300_000 }, async () => {
  const runs = [{ seed: 1 }, { seed: 2 }];
  const onOutcome = () => expect.fail("nothing was run");
  const outcome = runSeeds({ runs, processes: 1, onOutcome, control: "no such protection" });
  await expect(outcome).rejects.toThrow("a process that had not begun its first seed ended with 1");
});

const ok: SimulateOptions = { seed: 1, minutes: 0.01 };
/** Nothing that can be iterated: its process ends. */
const unrunnable = { ...ok, onlyStrikes: 5 as unknown as readonly number[] };
const broken = [{ invariant: "bug", message: "its process ended with 1" }];

test("a run that ends its process has broken something, and the next one is run", { timeout: 300_000 }, async () => {
  const outcomes: (readonly [SimulateOptions, Outcome])[] = [];
  await runSeeds({
    runs: [unrunnable, ok],
    processes: 1,
    onOutcome: (outcome, run) => outcomes.push([run, outcome]),
  });
  expect(outcomes.map(([run, { violations }]) => [run, violations])).toEqual([
    [unrunnable, broken],
    [ok, []],
  ]);
});

test("the same of one that is run alone, as shrinking does it", { timeout: 300_000 }, async () => {
  await using runner = new Runner({ control: undefined });
  expect((await runner.run(unrunnable)).violations).toEqual(broken);
  expect((await runner.run(ok)).violations).toEqual([]);
});
