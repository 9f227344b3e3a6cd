// How the process ends, for scripts.
import type { RunResult } from "./contract.ts";

export interface RunEnd {
  readonly results: readonly Pick<RunResult, "scenario" | "passed" | "notRun">[];
  /** Names of scenarios that were asked for one by one. */
  readonly named: readonly string[];
  readonly wasInterrupted: boolean;
}

/** 1: a run failed, or was interrupted. 2: nothing failed, but a scenario that was named, or every one, could not run here. */
export function exitCodeOf({ results, named, wasInterrupted }: RunEnd): 0 | 1 | 2 {
  if (wasInterrupted || results.some(({ passed, notRun }) => !passed && notRun === undefined)) return 1;
  const notRun = results.filter((result) => result.notRun !== undefined);
  return notRun.length === results.length || notRun.some(({ scenario }) => named.includes(scenario)) ? 2 : 0;
}
