import { defaultLeaseProfile, type LeaseProfile } from "@sluice/coordination";

/** Settings of a scheduler. Every duration is in ms. */
export interface SchedulerConfig {
  /** Unique among schedulers; a new one for every life of the process. */
  readonly schedulerId: string;
  readonly lease: LeaseProfile;
  /** How much it takes on, relative to the other schedulers; positive. */
  readonly capacity: number;
  /** How often wishes and claims are listed anew; hints only make it faster. */
  readonly relistEveryMs: number;
  /** How often the store is asked which agents exist. */
  readonly agentsEveryMs: number;
  /** A new owner waits so long for its agents' inventories before it holds back what they may be running. */
  readonly barrierGraceMs: number;
  /** An agent that was not reached for so long is fenced. */
  readonly fenceAfterMs: number;
  /** A fenced agent is dead when it was not renewed for so long; its watchdog has killed everything by then. */
  readonly deadAfterMs: number;
  /** Tasks that may wait in memory, of all partitions together; about 40 bytes each. Pulling stops at this many. */
  readonly lookAheadTasksMax: number;
  /** Memory that they may take, which counts when they were announced one by one: about 1,000 bytes each then. */
  readonly lookAheadBytesMax: number;
  /** Tasks read, dispatched or settled in one batch. */
  readonly batchSize: number;
  /** How often blocks are kept invisible; a third of the queue's `ack_wait`. */
  readonly renewEveryMs: number;
  /** How often owners look for marked rows; hints make it faster. */
  readonly marksEveryMs: number;
  /** How often owners look for rows that nobody has in memory. */
  readonly sweepEveryMs: number;
  /** Rows announced later than this are left to their messages. */
  readonly sweepAgeMs: number;
  /** The longest time between two looks for due rows. */
  readonly unparkEveryMs: number;
  /** How often final rows past their retention are deleted. */
  readonly purgeEveryMs: number;
  /** How long a final task can be read. */
  readonly retentionMs: number;
  /** Attempts of a task that may be lost with their agents before it fails. */
  readonly lostAttemptsMax: number;
}

export const defaultSchedulerConfig: Omit<SchedulerConfig, "schedulerId"> = {
  lease: defaultLeaseProfile,
  capacity: 1,
  relistEveryMs: 1_000,
  agentsEveryMs: 2_000,
  barrierGraceMs: 1_000,
  fenceAfterMs: 15_000,
  deadAfterMs: 25_000,
  lookAheadTasksMax: 1_500_000,
  lookAheadBytesMax: 64 * 1024 * 1024,
  batchSize: 256,
  renewEveryMs: 10_000,
  marksEveryMs: 1_000,
  sweepEveryMs: 5_000,
  sweepAgeMs: 10_000,
  unparkEveryMs: 1_000,
  purgeEveryMs: 60_000,
  retentionMs: 7 * 24 * 3_600_000,
  lostAttemptsMax: 3,
};
