// From a run that breaks an invariant to one with few faults that breaks it as well: first whole faults are left out, then
// single strikes, then the faults that happened to messages once more, which shifts no strike.
import { type FaultName, rateNames } from "./faults.ts";
import { minimise } from "./minimise.ts";
import type { Outcome, SimulateOptions } from "./simulate.ts";

export interface ShrinkOptions {
  /** The run that failed, and how. */
  readonly run: SimulateOptions;
  readonly outcome: Outcome;
  readonly simulate: (run: SimulateOptions) => Promise<Outcome>;
  /** Begins no further run once it says no. */
  readonly hasTime: () => boolean;
}

export interface Shrunk {
  readonly run: SimulateOptions;
  readonly outcome: Outcome;
  readonly runs: number;
  /** False: the time ran out. */
  readonly isSmallest: boolean;
}

/** Keeps a violation of the invariant that is named first. */
export async function shrink({ run, outcome, simulate, hasTime }: ShrinkOptions): Promise<Shrunk> {
  const invariant = outcome.violations[0]?.invariant;
  let best = { run, outcome };
  let runs = 0;
  let isSmallest = true;

  async function fails(candidate: SimulateOptions): Promise<boolean | undefined> {
    if (!hasTime()) {
      isSmallest = false;
      return undefined;
    }
    runs++;
    const found = await simulate(candidate);
    if (!found.violations.some((violation) => violation.invariant === invariant)) return false;
    best = { run: candidate, outcome: found };
    return true;
  }

  /** The faults that are not among `kept` are left out, beside those that were before. */
  async function withOnly(faults: readonly FaultName[]): Promise<void> {
    const before = best.run;
    await minimise(faults, (kept) => {
      const without = [...(before.without ?? []), ...faults.filter((name) => !kept.includes(name))];
      return fails({ ...before, without });
    });
  }

  await withOnly(outcome.faults);
  const { strikes } = best.outcome;
  const spared = best.run;
  const numbers = strikes.map(({ index }) => index);
  await minimise(numbers, (onlyStrikes) => fails({ ...spared, onlyStrikes }));
  await withOnly(best.outcome.faults.filter((name) => (rateNames as readonly string[]).includes(name)));
  return { ...best, runs, isSmallest };
}
