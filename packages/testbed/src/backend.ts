import { readFileSync, rmSync } from "node:fs";
import { AppError } from "@sluice/core";
import type { Folder } from "./folder.ts";
import { host, type PortReservation } from "./ports.ts";
import { type GuardedProcess, type ProcessOptions, startProcess } from "./process/guarded-process.ts";
import { removeSharedMemory } from "./process/shared-memory.mjs";
import { until } from "./time.ts";

/** One backend that runs, as processes of this machine. */
export interface Backend extends AsyncDisposable {
  /** `etcd`, `nats-0`, `postgres`. */
  readonly name: string;
  readonly host: string;
  readonly port: number;
  /** host:port. */
  readonly address: string;
  /** Undefined while it does not run. */
  readonly pid: number | undefined;
  readonly logFile: string;
  readonly version: string;
  /** Whether it is meant to run: it was started, and not stopped since. One that was killed is. */
  readonly isWanted: boolean;
  /** Sends a signal; does not wait. SIGSTOP, SIGCONT and SIGKILL reach every process of it. */
  kill(signal: NodeJS.Signals): void;
  /** Stops it in order (or with the signal), and resolves when it is gone. Its data and port stay its own. */
  stop(signal?: NodeJS.Signals): Promise<void>;
  /** Starts it again on its data and port; resolves when it answers. Does nothing while it runs. */
  start(): Promise<void>;
  /** Deletes its data; only while it is stopped. */
  wipe(): Promise<void>;
}

export interface BackendPlan {
  readonly name: string;
  readonly version: string;
  readonly port: number;
  /** Given back at the end. */
  readonly reservation: PortReservation;
  readonly folder: Folder;
  /** Where its data is, below the folder; deleted by `wipe`. */
  readonly dataDir: string;
  readonly onStarted?: ((backend: Backend) => void) | undefined;
  readonly process: Omit<ProcessOptions, "name" | "isOneWithItsChildren">;
  /** Ends it at once and leaves nothing outside of its folder; default SIGKILL. */
  readonly discardSignal?: NodeJS.Signals;
  /** Makes what it needs, when it has no data yet. */
  prepare?(): Promise<void>;
  /** Whether it answers. May throw while it does not. */
  isReady(): Promise<boolean>;
}

const startTimeoutMs = 60_000;

export class LocalBackend implements Backend {
  readonly host = host;
  readonly #plan: BackendPlan;
  #process: GuardedProcess | undefined;
  /** It still runs, but has been told to end. */
  #isEnding = false;
  isWanted = false;

  constructor(plan: BackendPlan) {
    this.#plan = plan;
  }

  get name(): string {
    return this.#plan.name;
  }

  get port(): number {
    return this.#plan.port;
  }

  get address(): string {
    return `${host}:${this.#plan.port}`;
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  get logFile(): string {
    return this.#plan.process.logFile;
  }

  get version(): string {
    return this.#plan.version;
  }

  kill(signal: NodeJS.Signals): void {
    if (["SIGKILL", "SIGTERM", "SIGINT", "SIGQUIT"].includes(signal)) this.#isEnding = true;
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
    await this.#plan.prepare?.();
    const { name, process } = this.#plan;
    const running = startProcess({ ...process, name, isOneWithItsChildren: true });
    this.#process = running;
    try {
      const answers = () => running.exit !== undefined || this.#plan.isReady().catch(() => false);
      await until(answers, { what: `${name} does not answer`, timeoutMs: startTimeoutMs });
    } catch (error) {
      await running.stop("SIGKILL");
      throw error;
    }
    if (running.exit) throw this.#failure(running.exit.error);
    this.#plan.onStarted?.(this);
  }

  async wipe(): Promise<void> {
    if (this.pid !== undefined) {
      throw new AppError("precondition", "BACKEND_RUNNING", `stop ${this.name} before its data is deleted`);
    }
    await this.#process?.stop();
    removeSharedMemory(this.#plan.folder.path);
    rmSync(this.#plan.dataDir, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { folder, reservation, discardSignal = "SIGKILL" } = this.#plan;
    await this.stop(folder.isTemporary ? discardSignal : undefined);
    removeSharedMemory(folder.path);
    folder.delete();
    reservation[Symbol.dispose]();
  }

  #failure(cause: Error | undefined): AppError {
    const log = endOf(this.logFile);
    const details = cause && { cause };
    if (/address already in use/i.test(log)) {
      return new AppError("unavailable", "PORT_TAKEN", `another process listens on ${this.address}`, details);
    }
    const text = `${this.name} ended before it answered${cause ? `: ${cause.message}` : ""}; its log:\n${log}`;
    return new AppError("unavailable", "BACKEND_FAILED", text, details);
  }
}

function endOf(logFile: string): string {
  return readFileSync(logFile, "utf8").split("\n").slice(-20).join("\n");
}
