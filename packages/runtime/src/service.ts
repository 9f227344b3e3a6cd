// The life of a service's process: settings, signals, the end.
//
//   starting ──run──▶ running ──SIGTERM, SIGINT──▶ stopping ──run ends──▶ exit 0
//      └─wrong settings─▶ exit 2   └──failure──▶ exit 1   ├──second signal──▶ exit 130, 143
//                                                         └──`stopWithinMs` passed──▶ exit 1
import { setMaxListeners } from "node:events";
import { hostname } from "node:os";
import { AppError, type Clock, type Random } from "@sluice/core";
import { silenceTransport } from "@sluice/protocol";
import { Registry } from "prom-client";
import { systemClock } from "./clock.ts";
import { type ConfigOf, type ConfigSpec, readConfig, type Settings } from "./config/config.ts";
import type { Logger } from "./log.ts";
import { createLogger, type LogLevel } from "./logger.ts";
import { processMetrics } from "./metrics.ts";
import { systemRandom } from "./random.ts";
import { untilSignal } from "./signals.ts";

/** What the composition of a service gets from its process. */
export interface ServiceProcess<C> {
  readonly config: C;
  readonly clock: Clock;
  readonly random: Random;
  /** JSON lines on standard error. */
  readonly log: Logger;
  /** With the metrics of the process. */
  readonly registry: Registry;
  /** Aborts when the process is asked to end. */
  readonly signal: AbortSignal;
  /** Says on standard output, in one line, where the service listens. */
  announce(line: string): void;
}

export interface ServiceOptions<C> {
  /** How long a graceful stop may take; then the process ends with 1. */
  stopWithinMs(config: C): number;
  /** Runs until the signal aborts. A failure is logged and ends the process with 1. */
  run(process: ServiceProcess<C>): Promise<void>;
}

/**
 * Runs a service as this process: reads its settings from flags and environment (exit 2 and a list of all problems if they
 * are wrong), runs it until SIGTERM or SIGINT, and exits with 0; with 1 when it failed or did not stop in time. For `main.ts`.
 */
export async function runService<S extends Settings>(
  spec: ConfigSpec<S>,
  { stopWithinMs, run }: ServiceOptions<ConfigOf<S>>,
): Promise<never> {
  // One signal ends every loop of the process; that many listeners are no leak.
  setMaxListeners(0);
  silenceTransport();
  const config = readConfig(spec);
  const { logLevel } = config as { readonly logLevel?: LogLevel };
  const log = createLogger({ level: logLevel ?? "info", service: spec.service, stream: process.stderr });
  for (const event of ["uncaughtException", "unhandledRejection"] as const) {
    process.on(event, (cause: unknown) => end(1, () => log.error("a bug ends the process", { event, cause })));
  }
  // Else it would print them between the lines of the log.
  process.removeAllListeners("warning");
  process.on("warning", (cause) => log.warn("a warning of the runtime", { cause }));
  const registry = new Registry();
  processMetrics(registry);
  try {
    await untilSignal((signal) => {
      signal.addEventListener("abort", () => {
        log.info("stopping", { reason: String(signal.reason) });
        systemClock.timer(stopWithinMs(config), () => end(1, () => log.error("did not stop in time")));
      });
      const announce = (line: string) => process.stdout.write(`${line}\n`);
      return run({ config, clock: systemClock, random: systemRandom, log, registry, signal, announce });
    });
  } catch (cause) {
    const reason = cause instanceof AppError ? cause.reason : undefined;
    return end(1, () => log.error("the service failed", { reason, cause }));
  }
  return end(0, () => log.info("stopped"));
}

/** A name for a process that was given none: that of the host, and another suffix in every life. */
export function processName(random: Random): string {
  const host = hostname()
    .replace(/[^A-Za-z0-9.-]/g, "-")
    .replace(/^[^A-Za-z0-9]+/, "");
  return `${host.slice(0, 64) || "host"}-${random.hex(4)}`;
}

/** Whatever a library has left open must not keep the process. */
function end(code: number, lastWords: () => void): never {
  lastWords();
  return process.exit(code);
}
