import type {
  Api,
  ClusterServiceService,
  FunctionServiceService,
  OperationServiceService,
  TaskServiceService,
} from "@sluice/protocol";
import { toSluiceError } from "./errors.ts";
import { retrying } from "./retry.ts";
import type { System } from "./system.ts";

/** What the calls share. */
export interface Connection {
  readonly tasks: Api<typeof TaskServiceService>;
  readonly functions: Api<typeof FunctionServiceService>;
  readonly cluster: Api<typeof ClusterServiceService>;
  readonly operations: Api<typeof OperationServiceService>;
  readonly system: System;
  readonly retryTimeoutMs: number;
}

/** Of every call. */
export interface CallOptions {
  /** Ends the call; it then throws the signal's reason. */
  readonly signal?: AbortSignal;
}

/** A call that may be repeated. */
export function repeat<T>(
  { system, retryTimeoutMs }: Connection,
  { signal = new AbortController().signal }: CallOptions,
  call: (context: { signal: AbortSignal }) => Promise<T>,
): Promise<T> {
  return retrying(() => call({ signal }), { system, retryTimeoutMs, signal });
}

/** A call that must not be repeated, because its outcome may be unknown. */
export async function once<T>(
  { signal = new AbortController().signal }: CallOptions,
  call: (context: { signal: AbortSignal }) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted();
  try {
    return await call({ signal });
  } catch (cause) {
    signal.throwIfAborted();
    throw toSluiceError(cause);
  }
}
