// What an instance pool is asked to run, and how that ends.

/** What to run; one revision of a function. Only what an instance is not started with differs between two of one revision. */
export interface FunctionSpec {
  readonly accountId: string;
  readonly functionName: string;
  /** Changes with what an instance is started with; identifies the warm pool. */
  readonly revision: number;
  /** "nodejs18" | "nodejs20" | "nodejs22" | "python3" | "python3.9" … "python3.12"; others end as `invalid`. */
  readonly runtime: string;
  readonly handler: string;
  readonly codeSha256: string;
  readonly timeoutMs: number;
  readonly memoryMb: number;
  /** Requests that one instance may run at a time. */
  readonly instanceConcurrency: number;
  readonly environment: Readonly<Record<string, string>>;
  readonly initializer?: Hook;
  readonly preStop?: Hook;
  /** May differ within a revision, as may the two below: what was sent last counts. */
  readonly idleTimeoutMs: number;
  readonly instancesMax: number;
  readonly latencySensitive?: boolean;
}

export interface Hook {
  readonly handler: string;
  readonly timeoutMs: number;
}

/** One attempt of a task. */
export interface Invocation {
  readonly requestId: string;
  readonly taskId: string;
  /** From 1. */
  readonly attempt: number;
  readonly retryCount: number;
  readonly payload: Uint8Array;
  /** The attempt must end by then, wall clock, whatever the function's time-out is. */
  readonly deadlineMs?: number;
  /** Not to be started from then on, monotonic. */
  readonly startBefore?: number;
  readonly fenceToken: string;
  onLog(stream: "stdout" | "stderr", chunk: Uint8Array): void;
  /** Not more often than ten times a second; of values in between the last one counts. */
  onProgress?(json: string): void;
  /** The handler is about to be called. */
  onStarted(instanceId: string): void;
}

export type ErrorType =
  | "HandledInvocationError"
  | "UnhandledInvocationError"
  | "InitializationError"
  | "FunctionTimeout"
  | "ResultTooLarge"
  | "FlowControlError"
  /** No instance could be made just now; nothing of the user's has run. */
  | "InstanceUnavailable";

export type Outcome =
  | { readonly kind: "succeeded"; readonly result: Uint8Array }
  | {
      readonly kind: "failed";
      readonly errorType: ErrorType;
      readonly message: string;
      /** JSON error body. */
      readonly body: Uint8Array;
      readonly class: "fatal" | "retryable" | "flow_control";
      readonly retryAfterMs?: number;
    }
  /** Cannot run at all: unknown runtime, no interpreter on this host, code that cannot be unpacked. */
  | { readonly kind: "invalid"; readonly reason: string; readonly message: string }
  /** `startBefore` passed before the handler could be called. */
  | { readonly kind: "expired" }
  /** Asked to stop through the signal, and stopped. */
  | { readonly kind: "stopped" };
