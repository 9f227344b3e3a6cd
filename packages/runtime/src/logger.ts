import { isNativeError } from "node:util/types";
import { pino, stdTimeFunctions } from "pino";
import type { Logger } from "./log.ts";

export const logLevels = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];

export interface LoggerOptions {
  /** On every line. */
  readonly service: string;
  /** Lines below it are dropped; default `info`. */
  readonly level?: LogLevel;
  /** Receives one line at a time, with its line feed; default: standard output. */
  readonly stream?: { write(line: string): unknown };
}

/**
 * A log as JSON lines: `{"level":"info","time":"2026-…Z","service":"…",…fields,"msg":"…"}`. Errors among the fields are
 * written with type, message, code, stack and cause; byte arrays as their size. No line contains a control character, so
 * that what users send cannot drive the terminal of whoever reads the log.
 */
export function createLogger({ service, level = "info", stream = standardOutput() }: LoggerOptions): Logger {
  const options = {
    level,
    base: { service },
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }), log: withoutSurprises },
  };
  return wrap(pino(options, { write: (line: string) => stream.write(withoutControls(line)) }));
}

/** Says nothing. */
export const silentLogger: Logger = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => silentLogger,
};

/** Written before the call returns, so that the last words of a process that dies are not lost. */
function standardOutput() {
  return pino.destination({ dest: 1, sync: true });
}

interface Target {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  child(fields: object): Target;
}

/** Pino takes the fields first; and it must not see fields in the message, which it would format. */
function wrap(target: Target): Logger {
  return {
    debug: (message, fields = {}) => target.debug(fields, message),
    info: (message, fields = {}) => target.info(fields, message),
    warn: (message, fields = {}) => target.warn(fields, message),
    error: (message, fields = {}) => target.error(fields, message),
    child: (fields) => wrap(target.child(withoutSurprises(fields))),
  };
}

function withoutSurprises(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, readable(value)]));
}

function readable(value: unknown): unknown {
  if (isNativeError(value)) return errorFields(value, 3);
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  return value;
}

function errorFields(error: Error, causesMax: number): object {
  const { code, reason } = error as { code?: unknown; reason?: unknown };
  return {
    type: error.name,
    message: error.message,
    code,
    reason,
    stack: error.stack,
    cause: isNativeError(error.cause) && causesMax > 0 ? errorFields(error.cause, causesMax - 1) : undefined,
  };
}

/** JSON escapes the control characters below U+0020 itself, but not those from U+007F to U+009F. */
function withoutControls(line: string): string {
  return line.replace(/[\u007f-\u009f]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
