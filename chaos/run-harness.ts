// What runs are made of. Tests of the runner give their own.
import type { Violation } from "@sluice/checkers";
import type {
  Arena,
  ArenaOptions,
  Evidence,
  FaultMark,
  LeaseProfile,
  RunResult,
  Scenario,
  Workload,
  WorkloadOptions,
} from "./contract.ts";

export interface Harness {
  /** What this host cannot do of what a scenario needs; undefined: it can do everything. */
  cannot(scenario: Scenario): string | undefined | Promise<string | undefined>;
  openArena(options: ArenaOptions): Promise<Arena>;
  startWorkload(arena: Arena, options: WorkloadOptions): Promise<Workload>;
  judge(run: Judged): JudgedRun | Promise<JudgedRun>;
  /**
   * Called when a run has failed, while its cluster still exists; returns the folder. `evidence` undefined: the run failed
   * before there was any. Default: nothing is kept.
   */
  keep?(arena: Arena, run: KeptRun, evidence: Evidence | undefined): Promise<string>;
}

/** A verdict; how long it took is known at the end of everything. */
export type JudgedRun = Omit<RunResult, "tookMs">;

/** What is kept of a failed run beside its logs. */
export type KeptRun = Pick<RunResult, "scenario" | "violations" | "marks">;

/** What there is to judge. */
export interface Judged {
  readonly scenario: Scenario;
  readonly seed: number;
  readonly conditions: RunResult["conditions"];
  readonly profile: LeaseProfile;
  /** Whether it fails when it misses an aim. */
  readonly mustMeetAims: boolean;
  readonly evidence: Evidence;
  readonly marks: readonly FaultMark[];
  /** What went wrong in the run itself. */
  readonly failures: readonly Violation[];
}
