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
  judge(run: Judged): RunResult | Promise<RunResult>;
}

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
