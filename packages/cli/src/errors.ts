import {
  Cancelled,
  DuplicateTask,
  Internal,
  NotFound,
  Rejected,
  SluiceError,
  TimedOut,
  TlsFailed,
  Unauthenticated,
  Unavailable,
} from "@sluice/client";

/** What a command ends with; `docs/cli.md` lists them. */
export const exitCodes = {
  ok: 0,
  taskFailed: 1,
  usage: 2,
  notFound: 3,
  rejected: 4,
  unavailable: 5,
  bug: 70,
  interrupted: 130,
} as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** The command line, or a file that it names, is wrong. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** A failure as the user sees it. */
export interface Failure {
  readonly exitCode: ExitCode;
  /** One line: what is wrong and what to do. */
  readonly message: string;
  readonly code: string;
  readonly reason?: string | undefined;
  readonly field?: string | undefined;
  readonly retryAfterMs?: number | undefined;
}

/** Explains anything that was thrown. */
export function explain(cause: unknown, { address, signal }: { address: string; signal: AbortSignal }): Failure {
  if (signal.aborted) return { exitCode: exitCodes.interrupted, code: "interrupted", message: "interrupted" };
  if (cause instanceof SluiceError) {
    const { code, reason, field, retryAfterMs } = cause;
    return { exitCode: exitCodeOf(cause), message: adviceOf(cause, address), code, reason, field, retryAfterMs };
  }
  if (cause instanceof UsageError) return { exitCode: exitCodes.usage, code: "usage", message: cause.message };
  const problem = fileProblem(cause);
  if (problem) return { exitCode: exitCodes.usage, code: "usage", message: problem };
  const text = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
  return { exitCode: exitCodes.bug, code: "bug", message: `this is a bug, please report it: ${text}` };
}

function exitCodeOf(error: SluiceError): ExitCode {
  if (error instanceof NotFound || (error instanceof Rejected && error.reason.endsWith("NOT_FOUND"))) {
    return exitCodes.notFound;
  }
  if (error.reason === "INVALID_TLS") return exitCodes.usage;
  const isAway = [Unavailable, TimedOut, Cancelled, Internal].some((kind) => error instanceof kind);
  return isAway ? exitCodes.unavailable : exitCodes.rejected;
}

function adviceOf(error: SluiceError, address: string): string {
  if (error instanceof TimedOut) return error.message;
  if (error instanceof TlsFailed)
    return `cannot reach ${address}: ${error.message}; ${tlsAdvice[error.reason] ?? "ask its operator"}`;
  if (error instanceof Unavailable) {
    return `cannot reach ${address}: ${withoutNoise(error.message)}; start the server, or name another one with --address`;
  }
  if (error instanceof Unauthenticated) {
    return `${error.message}; give --access-key-id and --access-key-secret, or run in the folder of the server's .sluice`;
  }
  if (error instanceof DuplicateTask) return `${error.message}, or repeat it with the same --token`;
  const field = error.field && !error.message.includes(error.field) ? ` (${typedName(error.field)})` : "";
  return `${withTypedStatuses(error)}${field} [${error.reason}]`;
}

/** Settings and filters as users write them, and not as the protocol does. */
function typedName(field: string): string {
  const setting = /^settings\.(.+)$/.exec(field)?.[1];
  if (setting !== undefined) return setting.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
  const option = /^target\.tasks\.(status|tag|priority)$/.exec(field)?.[1];
  return option === undefined ? field : `--${option}`;
}

function withTypedStatuses({ message, field }: SluiceError): string {
  if (field === undefined || !/(^|\.)status$/.test(field)) return message;
  return message.replace(/\b[A-Z]{6,}\b/g, (status) => `${status.charAt(0)}${status.slice(1).toLowerCase()}`);
}

const tlsAdvice: Readonly<Record<string, string>> = {
  TLS_REQUIRED: "give --ca with its authority, or --tls",
  TLS_NOT_SPOKEN: "leave --tls, --ca, --cert and --key out",
  CERTIFICATE_UNTRUSTED: "give --ca with its authority",
  CERTIFICATE_WRONG_HOST: "give such a name with --address",
  CLIENT_CERTIFICATE_REFUSED: "give --cert and --key",
};

/** The transport wraps the one fact that helps. */
function withoutNoise(message: string): string {
  return message
    .replace(/No connection established\. Last error: (Error: )?/, "")
    .replace(/\. Resolution note: .*?(?=;|$)/, "");
}

/** Files of the user: missing, unreadable, or not what they should be. */
function fileProblem(cause: unknown): string | undefined {
  if (!(cause instanceof Error) || !("code" in cause) || !("path" in cause)) return undefined;
  const problems: Readonly<Record<string, string>> = {
    ENOENT: "does not exist",
    EACCES: "may not be read",
    EISDIR: "is a folder, not a file",
    ENOTDIR: "is not a folder",
  };
  return `${String(cause.path)} ${problems[String(cause.code)] ?? cause.message}`;
}
