import { defaultShorterQueueConfig, type ShorterQueueConfig } from "@sluice/core";

const KiB = 1024;
const MiB = 1024 * KiB;
const dayMs = 86_400_000;

/** Settings of an api-server. Everything but the tokens has a default below. */
export interface ApiServerConfig {
  /** `none`: every call acts for the account `local`; for local play only. */
  readonly auth: "keys" | "none";
  /** Accounts that may look after the cluster. With `auth` `none` everybody may. */
  readonly operatorAccounts: readonly string[];
  /** What an agent must present to join: any of them. Not empty. */
  readonly joinTokens: readonly string[];

  /** Largest payload of a task. */
  readonly payloadBytesMax: number;
  readonly delayMsMax: number;
  readonly expiresAfterMsMax: number;
  readonly tasksPerMessageMax: number;
  /** Tasks of one account that are not final. Approximate: other api-servers are heard of at every recount. */
  readonly waitingTasksMax: number;
  /** Whether a share is refused of what accounts submit beyond their fair share of a full queue. */
  readonly throttle: boolean;
  /** Tasks that may wait in one queue, as far as its owners look ahead; then it takes none. */
  readonly queueBacklogMax: number;
  /**
   * Share of what the queue's stream may hold from which on accounts with many unfinished tasks are refused; everybody, when half
   * of the rest is gone as well. 1: never.
   */
  readonly queueFullnessMax: number;
  /** When an account leaves the one of its two queues that it uses for the other one. */
  readonly shorterQueue: ShorterQueueConfig;

  /** Rows of one insert. */
  readonly groupTasksMax: number;
  /** Payload bytes of one insert. */
  readonly groupBytesMax: number;
  /**
   * Inserts in flight. A second one keeps the database busy during the round trip of the first; on PGlite 1, 2 and 3 were
   * within the noise of each other (10,000 to 20,000 tasks/s).
   */
  readonly groupsInFlightMax: number;
  /** Blocks that wait to be published; what does not fit is left to the sweeper. */
  readonly announceBlocksMax: number;

  /** Batches of one stream that are not answered yet; the stream is not read any further then. */
  readonly streamBatchesMax: number;
  readonly streamBytesMax: number;
  /** Submissions in memory that are not answered yet, of all callers. */
  readonly admissionBytesMax: number;
  /** How long a submission waits for room before it is refused. */
  readonly admissionWaitMs: number;

  /** Calls of WatchTask, WaitTask and GetTaskLog with follow at the same time. */
  readonly watchersMax: number;
  /** How often a watched task is read although no hint came. */
  readonly watchPollMs: number;
  /** How often a followed log is read. */
  readonly logPollMs: number;

  /** Largest zip of a function. */
  readonly codeBytesMax: number;
  /** How long a decrypted access key is believed; a key that was disabled works so long. */
  readonly keyCacheMs: number;
  /** How long a function is believed to exist if no hint says otherwise. */
  readonly functionCacheMs: number;

  /** Heartbeats are collected so long before they are renewed together. */
  readonly heartbeatWindowMs: number;
  /** An agent's key in etcd lives so long without a heartbeat. */
  readonly agentKeyTtlMs: number;
}

export const defaultApiServerConfig: Omit<ApiServerConfig, "joinTokens"> = {
  auth: "keys",
  // The account of the first access key.
  operatorAccounts: ["default"],
  payloadBytesMax: 128 * KiB,
  delayMsMax: 30 * dayMs,
  expiresAfterMsMax: 7 * dayMs,
  tasksPerMessageMax: 10_000,
  waitingTasksMax: 1_000_000,
  throttle: true,
  queueBacklogMax: 1_250_000,
  queueFullnessMax: 0.8,
  shorterQueue: defaultShorterQueueConfig,
  groupTasksMax: 1_000,
  groupBytesMax: 8 * MiB,
  groupsInFlightMax: 2,
  announceBlocksMax: 20_000,
  streamBatchesMax: 64,
  streamBytesMax: 32 * MiB,
  admissionBytesMax: 256 * MiB,
  admissionWaitMs: 1_000,
  watchersMax: 10_000,
  watchPollMs: 5_000,
  logPollMs: 500,
  codeBytesMax: 50 * MiB,
  keyCacheMs: 30_000,
  functionCacheMs: 30_000,
  heartbeatWindowMs: 500,
  agentKeyTtlMs: 30_000,
};
