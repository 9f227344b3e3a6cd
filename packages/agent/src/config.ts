const KiB = 1024;
const MiB = 1024 * KiB;

/** Settings of an agent. Every duration is in ms. */
export interface AgentConfig {
  /** The same in every incarnation on its host. */
  readonly agentId: string;
  /** Where schedulers reach it, host:port. */
  readonly address: string;
  /** Proves to the api-servers that the agent may join. */
  readonly joinToken: string;
  /** Version of its program. */
  readonly version: string;
  /** Attempts that run at the same time. */
  readonly slots: number;
  /** Instances that run at the same time, as the pool was told: owners send no more of a function than fits into them. */
  readonly instancesMax: number;
  /** MiB of memory that instances may take together, as the pool was told; 0: unbounded. */
  readonly memoryMaxMb: number;

  readonly heartbeatEveryMs: number;
  /** A heartbeat without an answer is given up then; up to three are in flight. */
  readonly heartbeatTimeoutMs: number;
  /** Without a valid answer for so long, counted from the sending of the last one that got one, the agent kills everything. */
  readonly fenceAfterMs: number;
  /** By then everything is certainly gone; the agent's run ends. */
  readonly killWithinMs: number;
  readonly registerTimeoutMs: number;

  /** At a graceful stop running attempts may go on for so long. */
  readonly drainMs: number;
  /** Then their owners have so long to confirm what ended. */
  readonly confirmWaitMs: number;

  /** Attempts that run or are not confirmed; a full table refuses new work. */
  readonly tableEntriesMax: number;
  /** Bytes of outcomes that are not confirmed. */
  readonly tableBytesMax: number;
  /** Confirmed tasks that are remembered for late repeats; about 100 bytes each. */
  readonly confirmedMax: number;
  /** Largest result of a handler. */
  readonly resultBytesMax: number;

  /** Attempts are reported as started when they run for so long. */
  readonly startedAfterMs: number;
  /** The progress of an attempt is reported so often at most. */
  readonly progressEveryMs: number;
  /** What the agent has room for is told so often at most. */
  readonly statusEveryMs: number;
  /** Reports that may wait for a slow stream; one with more is ended, and reports everything again when it is back. */
  readonly streamBacklogMax: number;
  /** Attempts in one frame. */
  readonly frameAttemptsMax: number;
  /** Bytes of outcomes, or of progress, in one frame; a single larger outcome goes alone. */
  readonly frameBytesMax: number;
  /** Function specs that one stream keeps. */
  readonly streamFunctionsMax: number;

  /** Logs are sent this long after they were written, at the latest while the api-servers answer. */
  readonly logFlushEveryMs: number;
  /** More than this is sent at once. */
  readonly logFlushBytes: number;
  readonly logPieceBytesMax: number;
  readonly logCallBytesMax: number;
  readonly logCallTimeoutMs: number;
  /** Logs of all attempts that wait to be sent; beyond it they are dropped, with a mark. */
  readonly logBufferBytesMax: number;
  /** Log of one attempt. A little above the pool's own bound, so that its closing marks are kept. */
  readonly logAttemptBytesMax: number;
}

export const defaultAgentConfig: Omit<AgentConfig, "agentId" | "address" | "joinToken"> = {
  version: "0.1.0",
  slots: 64,
  instancesMax: 16,
  memoryMaxMb: 0,
  heartbeatEveryMs: 2_000,
  heartbeatTimeoutMs: 5_000,
  fenceAfterMs: 20_000,
  killWithinMs: 5_000,
  registerTimeoutMs: 5_000,
  drainMs: 10_000,
  confirmWaitMs: 10_000,
  tableEntriesMax: 10_000,
  tableBytesMax: 64 * MiB,
  confirmedMax: 100_000,
  resultBytesMax: 256 * KiB,
  startedAfterMs: 1_000,
  progressEveryMs: 1_000,
  statusEveryMs: 100,
  streamBacklogMax: 50_000,
  frameAttemptsMax: 500,
  frameBytesMax: 1 * MiB,
  streamFunctionsMax: 10_000,
  logFlushEveryMs: 300,
  logFlushBytes: 64 * KiB,
  logPieceBytesMax: 64 * KiB,
  logCallBytesMax: 1 * MiB,
  logCallTimeoutMs: 10_000,
  logBufferBytesMax: 16 * MiB,
  logAttemptBytesMax: 1 * MiB + 16 * KiB,
};
