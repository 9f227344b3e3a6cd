// What users of the client see. Wire types stay inside: `wire.ts` converts.

/** What a task is doing. `Unknown` is a status that this version of the client has no name for. */
export type TaskStatus = (typeof taskStatuses)[number] | "Unknown";

/** Every status a server can report, in the order of a task's life. */
export const taskStatuses = [
  "Enqueued",
  "Running",
  "Retrying",
  "Stopping",
  "Succeeded",
  "Failed",
  "Stopped",
  "Expired",
  "Invalid",
] as const;

const finalStatuses: readonly TaskStatus[] = ["Succeeded", "Failed", "Stopped", "Expired", "Invalid"];

/** Whether the task has ended: its status will not change any more. */
export function isFinal(task: { readonly status: TaskStatus }): boolean {
  return finalStatuses.includes(task.status);
}

/** How urgent a task is; a more urgent one goes first, but an old one overtakes, so nothing starves. */
export type Priority = (typeof priorities)[number];
export const priorities = ["urgent", "high", "normal", "low"] as const;

/** One task to submit. */
export interface Submission {
  /** Name of the function to run. */
  readonly function: string;
  /**
   * Unique within the function: a letter or `_`, then letters, digits, `_` or `-`, at most 128 characters. Default: made
   * by the client (from the token, if that is given).
   */
  readonly taskId?: string;
  /** Input of the handler; a text is sent as UTF-8. Default: empty. At most 128 KiB unless the server allows more. */
  readonly payload?: Uint8Array | string;
  /** Default: normal. */
  readonly priority?: Priority;
  /** Milliseconds to wait before the first attempt. Default: 0; at most 30 days. */
  readonly delayMs?: number;
  /** Milliseconds after the delay at which a task that was not started is dropped. Default: the function's; at most 7 days. */
  readonly expiresAfterMs?: number;
  /**
   * Identifies this submission, at most 128 characters: the same task with the same token is accepted again, not refused
   * as a duplicate. Default: a new one per call, so that the client itself can repeat a submission whose outcome it does
   * not know. Give one to repeat it safely from another process.
   */
  readonly submissionToken?: string;
  /** For filters of lists and of operations: at most 8 texts of 1 to 64 characters. */
  readonly tags?: readonly string[];
}

/** The task is in the store and will reach a final status. */
export interface Accepted {
  readonly taskId: string;
  /** True if an earlier submission with the same token was accepted already. */
  readonly repeated: boolean;
}

/** Why an attempt or a task failed. */
export interface TaskError {
  /** Stable, such as `UnhandledInvocationError` or `FunctionTimeout`. */
  readonly type: string;
  readonly message: string;
  /** The error body of the handler as JSON text; empty if it made none. */
  readonly body: string;
}

/** One step of a task's life. */
export interface TaskEvent {
  /** Grows from 1, by one as long as none is left out. */
  readonly eventId: number;
  /** The status reached, or `Dequeued`, which appears here only. */
  readonly status: string;
  /** Milliseconds since the epoch. */
  readonly timeMs: number;
  /** From 1; 0 if the step belongs to no attempt. */
  readonly attempt: number;
  /** A JSON object as text, or empty. */
  readonly detail: string;
}

/** A task as the server knows it. Times are milliseconds since the epoch; undefined: not yet, or not at all. */
export interface Task {
  readonly function: string;
  readonly taskId: string;
  readonly status: TaskStatus;
  readonly priority: Priority;
  /** The current attempt, from 1. */
  readonly attempt: number;
  /** Attempts that failed and were retried. */
  readonly retries: number;
  readonly enqueuedAtMs: number;
  /** Parked until then. */
  readonly dueAtMs: number | undefined;
  /** Why it is parked: delay, pause, overflow, throttle or backoff. */
  readonly parkReason: string | undefined;
  readonly expiresAtMs: number | undefined;
  /** When the handler of the latest attempt was started. */
  readonly startedAtMs: number | undefined;
  readonly endedAtMs: number | undefined;
  /** Input; empty in lists unless `includePayload` is set. See `text` and `json`. */
  readonly payload: Uint8Array;
  /** Result; empty in lists unless `includePayload` is set. See `text` and `json`. */
  readonly result: Uint8Array;
  /** The latest error. */
  readonly error: TaskError | undefined;
  readonly agentId: string | undefined;
  readonly instanceId: string | undefined;
  readonly stopRequested: boolean;
  /** The steps so far, but of more than 100 only the first 50 and the last 50; empty in lists. */
  readonly events: readonly TaskEvent[];
  /** How many are left out between those. */
  readonly eventsLeftOut: number;
  /** What the handler last reported, as JSON text. */
  readonly progress: string | undefined;
  /** As they were submitted. */
  readonly tags: readonly string[];
}

/** Which tasks of the account are meant; everything that is given must hold. */
export interface TaskSelection {
  /** Default: all functions of the account. */
  readonly function?: string;
  readonly status?: Exclude<TaskStatus, "Unknown">;
  /** Accepted at or after this time, in ms since the epoch. */
  readonly enqueuedFromMs?: number;
  /** Accepted before this time, in ms since the epoch. */
  readonly enqueuedUntilMs?: number;
  readonly taskIdPrefix?: string;
  /** One of its tags. */
  readonly tag?: string;
  readonly priority?: Priority;
}

/** Which tasks to list, and how. */
export interface TaskFilter extends TaskSelection {
  /** Default: newest first. */
  readonly order?: "newest first" | "oldest first";
  /** Default: false. */
  readonly includePayload?: boolean;
  /** Tasks per page: 1 to 500. Default: 20 for a page, 500 when all pages are read. */
  readonly pageSize?: number;
}

export interface TaskPage {
  readonly tasks: readonly Task[];
  /** For the next page; undefined: this was the last. */
  readonly nextPageToken: string | undefined;
}

/** A piece of what a handler wrote; it may end within a character. */
export interface LogChunk {
  readonly attempt: number;
  readonly stream: "stdout" | "stderr";
  /** Milliseconds since the epoch. */
  readonly timeMs: number;
  readonly data: Uint8Array;
}

/** A hook of an instance's life. */
export interface Hook {
  /** `module.function`, as for the handler. */
  readonly handler: string;
  /** Milliseconds it may take. Default: 3,000. */
  readonly timeoutMs?: number;
}

/** Settings of a function. In an update, what is absent stays as it is. */
export interface FunctionSettings {
  /** Such as `nodejs20` or `python3`. */
  readonly runtime?: string;
  /** `file.export`, such as `index.handler`. */
  readonly handler?: string;
  readonly description?: string;
  /** Milliseconds an attempt may run. Default: 60,000. */
  readonly timeoutMs?: number;
  /** MiB of an instance. Default: 512. */
  readonly memoryMb?: number;
  /** Attempts that one instance runs at the same time. Default: 1. */
  readonly instanceConcurrency?: number;
  /** Instances on one agent. Default: 100. */
  readonly instancesMax?: number;
  /** Environment variables of the handler; replaces all of them. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Called once when an instance starts. */
  readonly initializer?: Hook;
  /** Called before an instance is ended. */
  readonly preStop?: Hook;
  /** Milliseconds an idle instance is kept. Default: 60,000. */
  readonly idleTimeoutMs?: number;
  /** Retries after a failed attempt: 0 to 8. Default: 3. */
  readonly maxAsyncRetryAttempts?: number;
  /** Seconds after which a task that was not started expires. Default: 86,400. */
  readonly maxAsyncEventAgeInSeconds?: number;
  /** Attempts at the same time in the whole cluster. Default (0): no limit. */
  readonly concurrencyMax?: number;
  /** How much of its account's concurrency is kept free for it, also while it is idle; nothing if that is not limited. Default: 0. */
  readonly concurrencyReserved?: number;
  /** Attempts that start per second in the whole cluster. Default (0): no limit. */
  readonly rateMax?: number;
  /** Attempts that may start at once after a quiet time. Default (0): those of one second. */
  readonly rateBurst?: number;
  /** Share among the functions of the account, 1 to 100. Default: 1. */
  readonly weight?: number;
  /** Its attempts may be stopped for more urgent tasks, and run again later. Default: false. */
  readonly preemptible?: boolean;
  /** Its tasks have a queue of their own. Default: false. */
  readonly dedicatedQueue?: boolean;
  /** As `dedicatedQueue`, with an instance kept warm. Default: false. */
  readonly latencySensitive?: boolean;
}

/** A function as the server knows it. */
export interface FunctionInfo {
  readonly name: string;
  readonly settings: FunctionSettings;
  /** Grows when the code changes, or a setting that instances are started with; these are started anew then. */
  readonly revision: number;
  /** SHA-256 of the code's zip, in hexadecimal. */
  readonly codeSha256: string;
  readonly codeBytes: number;
  /** Milliseconds since the epoch. */
  readonly createdAtMs: number;
  /** Milliseconds since the epoch; grows with every change. */
  readonly updatedAtMs: number;
  /** Where its tasks wait. From `get` only, and not while the server has not heard of queues for long. */
  readonly queue?: FunctionQueue;
}

/** How far a queue of a function's own is; `unknown`: as only a later version knows. */
export type RouteState = "opening" | "open" | "folding" | "unknown";

/** Whether a function has a queue of its own; else its tasks are in the queues that its account shares with others. */
export interface FunctionQueue {
  /** Undefined: it has none of its own. */
  readonly name: string | undefined;
  /** Only an open one is used. */
  readonly state: RouteState | undefined;
  /** Why it has one: `asked`, `latency`, `hot` or `command`. */
  readonly reason: string | undefined;
  /**
   * Why the one that it asks for (`dedicatedQueue`, `latencySensitive`) is not used: `ACCOUNT_LIMITED`, `TOO_MANY_OF_ACCOUNT`,
   * `TOO_MANY_ASK`, `TOO_MANY_ROUTES`, `NOT_ASKED_YET`, `NOT_OPEN_YET`; later servers may have others.
   */
  readonly withheld: string | undefined;
}

/** The bytes of a payload or result as text. Throws `TypeError` if they are not UTF-8. */
export function text(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
}

/** The bytes of a payload or result as a JSON value; undefined if there are none. Throws if they are not JSON. */
export function json<T = unknown>(bytes: Uint8Array): T | undefined {
  return bytes.length === 0 ? undefined : (JSON.parse(text(bytes)) as T);
}
