import type { ClusterClient } from "./cluster.ts";
import type { CallOptions } from "./connection.ts";
import type { FunctionsClient } from "./functions.ts";
import type { Health } from "./health.ts";
import type { OperationsClient } from "./operations.ts";
import type { SubmitManyOptions, SubmitResult } from "./submit-many.ts";
import type { LogOptions, PageOptions, WaitOptions } from "./tasks.ts";
import type { Accepted, LogChunk, Submission, Task, TaskFilter, TaskPage } from "./types.ts";

/** Of one submission. */
export interface SubmitOptions extends CallOptions {
  /** How long it may wait, in milliseconds, when the server asks to come back later. Default: 0; it is refused then. */
  readonly waitMs?: number;
}

/**
 * A client of Sluice. Every call takes a signal and throws the signal's reason when it aborts; every other failure is a
 * `SluiceError`. Calls that may be repeated are repeated while the server cannot be reached, up to `retryTimeoutMs`.
 */
export interface SluiceClient extends AsyncDisposable {
  /**
   * Submits a task. Calls at the same time share messages, so call it as often as you like without waiting. When the
   * connection breaks, the same submission is sent again and accepted once.
   *
   * Throws `DuplicateTask`, `Rejected` (with `retryAfterMs` when the server is too busy for it: see `waitMs`; as
   * `LocallyThrottled` when it was not even sent, because most others were refused), or `OutcomeUnknown` when no answer came
   * before the time for retries ended, or none that says whether an earlier try was accepted. An
   * abort before it was sent withdraws it; afterwards it may be accepted all the same.
   */
  submit(submission: Submission, options?: SubmitOptions): Promise<Accepted>;
  /**
   * Submits as many as the input has, and yields one result each, in the order of the input. Takes from the input only
   * what its bounds have room for, and waits for a slow reader. A server that is busy is tried again as often as it asks,
   * until nothing of the input was accepted for `retryTimeoutMs`; a duplicate and a refusal are results; any other failure is thrown. Leaving the loop early withdraws what was not sent yet.
   */
  submitMany(
    source: Iterable<Submission> | AsyncIterable<Submission>,
    options?: SubmitManyOptions,
  ): AsyncGenerator<SubmitResult, void, undefined>;
  /** Reads a task with its payload, result and events. Throws `NotFound`. */
  get(functionName: string, taskId: string, options?: CallOptions): Promise<Task>;
  /** All tasks that pass the filter, page after page, newest first unless asked otherwise. */
  list(filter?: TaskFilter, options?: CallOptions): AsyncGenerator<Task, void, undefined>;
  /** One page of them. */
  listPage(filter?: TaskFilter, options?: PageOptions): Promise<TaskPage>;
  /** The task now and after every change, until it is final. Reconnects. Throws `NotFound`. */
  watch(functionName: string, taskId: string, options?: CallOptions): AsyncGenerator<Task, void, undefined>;
  /** The task once it is final. Throws `WaitTimedOut`, with the task, after `timeoutMs`; and `NotFound`. */
  wait(functionName: string, taskId: string, options?: WaitOptions): Promise<Task>;
  /** Asks to stop a task and returns it; no new attempt starts. Stopping twice is harmless. Throws `NotFound`. */
  stop(functionName: string, taskId: string, options?: CallOptions): Promise<Task>;
  /** What an attempt wrote. Throws `NotFound`; and `Unavailable` when the connection breaks after the first piece. */
  log(functionName: string, taskId: string, options?: LogOptions): AsyncGenerator<LogChunk, void, undefined>;
  readonly functions: FunctionsClient;
  /** For operators: who is there, who owns what, and how the queues are split. */
  readonly cluster: ClusterClient;
  /** Pauses what waits, and stops or deletes many tasks at once. */
  readonly operations: OperationsClient;
  /** What the server says of itself; tried once, for at most 5 s. */
  health(options?: CallOptions): Promise<Health>;
  /** Waits for the answers of all submissions, then disconnects. End your own watches first. */
  close(): Promise<void>;
}
