import type { Logger } from "@sluice/runtime";
import type { Trace } from "./trace.ts";

/** What a node logs is part of the trace; `debug` is left out, there is too much of it. */
export function traceLogger(trace: Trace, name: string): Logger {
  const line = (level: string) => (message: string, fields?: Readonly<Record<string, unknown>>) =>
    trace.add(`${level} ${name}: ${message}${fields ? ` ${JSON.stringify(fields, plain)}` : ""}`);
  const logger: Logger = {
    debug: () => undefined,
    info: line("info"),
    warn: line("warn"),
    error: line("error"),
    child: () => logger,
  };
  return logger;
}

function plain(_key: string, value: unknown): unknown {
  if (value instanceof Error) return String(value);
  return typeof value === "bigint" ? String(value) : value;
}
