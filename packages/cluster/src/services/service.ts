import { readFileSync } from "node:fs";
import { AppError } from "@sluice/core";
import { type GuardedProcess, httpGet, type PortReservation, startProcess, until } from "@sluice/testbed";
import type { ServiceKind } from "./kinds.ts";

/** An api-server, a scheduler or an agent: a process of its own, on the same ports in each of its lives. */
export interface ClusterService {
  /** `api-server-0`, `scheduler-2`, `agent-1`. */
  readonly name: string;
  readonly kind: ServiceKind;
  /** host:port of its gRPC API; a scheduler has none. */
  readonly address: string | undefined;
  /** host:port of /healthz, /readyz and /metrics. */
  readonly httpAddress: string;
  /** Undefined while it does not run. */
  readonly pid: number | undefined;
  readonly logFile: string;
  /** Whether it is meant to run: it was started, and not stopped since. One that was killed is. */
  readonly isWanted: boolean;
  /** Sends a signal to the process alone; does not wait. */
  kill(signal: NodeJS.Signals): void;
  /** Stops it in order (or with the signal), and resolves when it and all that it has started are gone. */
  stop(signal?: NodeJS.Signals): Promise<void>;
  /** Starts it; does not wait until it is ready. Does nothing while it runs. */
  start(): Promise<void>;
  /** Waits until /readyz answers 200. Throws when the process ends before, or `timeoutMs` (default 90,000) have passed. */
  ready(timeoutMs?: number): Promise<void>;
}

export interface ServiceOptions {
  readonly name: string;
  readonly kind: ServiceKind;
  /** Of its gRPC API, if it has one. */
  readonly port: number | undefined;
  readonly httpPort: number;
  readonly logFile: string;
  readonly reservation: PortReservation;
  /** Asked before each start. */
  command(): Promise<{
    /** Where it listens; default 127.0.0.1. */
    readonly host?: string;
    readonly command: string;
    readonly args: readonly string[];
    readonly env: Readonly<Record<string, string>>;
    readonly cwd: string;
  }>;
  /** Called after each start. */
  onStarted(): void;
}

/** More than any service needs for an orderly end. */
const stopTimeoutMs = 60_000;
const loopback = "127.0.0.1";

export class LocalService implements ClusterService {
  isWanted = false;
  readonly #options: ServiceOptions;
  #process: GuardedProcess | undefined;
  #isEnding = false;
  #host = loopback;

  constructor(options: ServiceOptions) {
    this.#options = options;
  }

  get name(): string {
    return this.#options.name;
  }

  get kind(): ServiceKind {
    return this.#options.kind;
  }

  get address(): string | undefined {
    const { port } = this.#options;
    return port === undefined ? undefined : `${this.#host}:${port}`;
  }

  get httpAddress(): string {
    return `${this.#host}:${this.#options.httpPort}`;
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  get logFile(): string {
    return this.#options.logFile;
  }

  kill(signal: NodeJS.Signals): void {
    if (["SIGKILL", "SIGTERM", "SIGINT"].includes(signal)) this.#isEnding = true;
    this.#process?.kill(signal);
  }

  async stop(signal?: NodeJS.Signals): Promise<void> {
    this.isWanted = false;
    await this.#process?.stop(signal);
  }

  async start(): Promise<void> {
    this.isWanted = true;
    if (this.pid !== undefined && !this.#isEnding) return;
    await this.#process?.stop();
    this.#isEnding = false;
    const { name, logFile, command, onStarted } = this.#options;
    const { host = loopback, ...start } = await command();
    this.#host = host;
    this.#process = startProcess({ ...start, name, logFile, stopTimeoutMs });
    onStarted();
  }

  async ready(timeoutMs = 90_000): Promise<void> {
    let lastAnswer = "nobody listens";
    const isReady = async () => {
      if (this.pid === undefined) throw this.#failure("ended before it was ready");
      const answer = await httpGet(this.#options.httpPort, "/readyz", this.#host).catch(() => undefined);
      if (answer) lastAnswer = answer.text;
      return answer?.status === 200;
    };
    try {
      await until(isReady, { what: `${this.name} is not ready`, timeoutMs, everyMs: 50 });
    } catch (cause) {
      throw cause instanceof AppError && cause.code === "timeout"
        ? this.#failure(`is not ready: ${lastAnswer}`)
        : cause;
    }
  }

  [Symbol.dispose](): void {
    this.#options.reservation[Symbol.dispose]();
  }

  #failure(what: string): AppError {
    const log = readFileSync(this.logFile, "utf8").trimEnd().split("\n").slice(-15).join("\n");
    return new AppError(
      "unavailable",
      "SERVICE_NOT_READY",
      `${this.name} ${what}; the end of ${this.logFile}:\n${log}`,
    );
  }
}
