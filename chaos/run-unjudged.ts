// The result of a run of which nothing was judged: it could not begin, or it left no evidence.
import type { Figures, RunResult, Scenario } from "./contract.ts";
import type { JudgedRun } from "./run-harness.ts";

export interface UnjudgedRun extends Pick<RunResult, "seed" | "conditions"> {
  readonly scenario: Pick<Scenario, "name" | "about">;
  /** Why, and what was noted until then; default: nothing. */
  readonly facts?: Partial<Pick<RunResult, "notRun" | "violations" | "marks">>;
}

export function unjudged({ scenario, seed, conditions, facts }: UnjudgedRun): JudgedRun {
  return {
    scenario: scenario.name,
    about: scenario.about,
    seed,
    conditions,
    notRun: undefined,
    passed: false,
    violations: [],
    checked: [],
    figures: noFigures,
    aims: [],
    marks: [],
    timeline: [],
    ...facts,
  };
}

const noFigures: Figures = {
  accepted: 0,
  rejected: 0,
  unknown: 0,
  unknownAtFirst: 0,
  skipped: 0,
  failed: 0,
  expired: 0,
  lost: 0,
  executedTwice: 0,
  overlaps: 0,
  staleWritesRefused: 0,
  steppedDown: 0,
  announcedAgain: 0,
  longestGapMs: { submit: 0, dispatch: 0, settle: 0 },
  failoverMs: {},
  resumed: { running: 0, adopted: 0 },
};
