import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { until } from "../time.ts";
import { guardMarker, guardProcess, unguardProcess } from "./guard.ts";
import { isAlive, killTrees, type ProcessStat, signalTo, statOf, treeOf } from "./tree.mjs";

export interface ProcessOptions {
  /** For messages. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** All of its environment: nothing is inherited. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Standard output and standard error are appended to it. */
  readonly logFile: string;
  /** Default: ours. */
  readonly user?: User | undefined;
  /** Ends it in order; default SIGTERM. */
  readonly stopSignal?: NodeJS.Signals;
  /** What the guard sends when we are gone; default SIGKILL. */
  readonly guardSignal?: NodeJS.Signals;
  /** How long an orderly end may take before it is killed; default 15 s. */
  readonly stopTimeoutMs?: number;
  /** Whether SIGSTOP, SIGCONT and SIGKILL reach what it has started too; default false. */
  readonly isOneWithItsChildren?: boolean;
}

export interface User {
  readonly uid: number;
  readonly gid: number;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Why it could not even be started. */
  readonly error?: Error;
}

/** A process that ends when we do, however that happens. */
export interface GuardedProcess {
  /** Undefined once it has ended. */
  readonly pid: number | undefined;
  /** How it ended; undefined while it runs. */
  readonly exit: Exit | undefined;
  readonly exited: Promise<Exit>;
  /** Sends a signal, unless it has ended; does not wait. */
  kill(signal: NodeJS.Signals): void;
  /** Sends `signal` or its own stop signal, kills it when it takes too long, and waits until it and its children are gone. */
  stop(signal?: NodeJS.Signals): Promise<void>;
}

/** Starts it in a session of its own, so that Ctrl-C in our terminal reaches us only. */
export function startProcess(options: ProcessOptions): GuardedProcess {
  return new GuardedChild(options);
}

let started = 0;

class GuardedChild implements GuardedProcess {
  readonly exited: Promise<Exit>;
  exit: Exit | undefined;
  readonly #options: ProcessOptions;
  readonly #child: ChildProcess;
  /** Must be gone, too, before the same command may be started again. */
  #family: readonly ProcessStat[] = [];

  constructor(options: ProcessOptions) {
    this.#options = options;
    started += 1;
    const id = `${options.name}-${started}`;
    guardProcess(id);
    this.#child = spawnChild(options);
    const { pid } = this.#child;
    if (pid !== undefined) guardProcess(id, { pid, signal: options.guardSignal ?? "SIGKILL" });
    this.exited = new Promise((resolve) => {
      const onEnd = (exit: Exit) => {
        unguardProcess(id);
        this.exit = exit;
        resolve(exit);
      };
      this.#child.once("exit", (code, signal) => onEnd({ code, signal }));
      this.#child.once("error", (error) => {
        if (pid === undefined) onEnd({ code: null, signal: null, error });
      });
    });
  }

  get pid(): number | undefined {
    return this.exit ? undefined : this.#child.pid;
  }

  kill(signal: NodeJS.Signals): void {
    const { pid } = this;
    if (pid === undefined) return;
    this.#family = treeOf(pid);
    const reachesAll = this.#options.isOneWithItsChildren && ["SIGSTOP", "SIGCONT", "SIGKILL"].includes(signal);
    if (!reachesAll) signalTo(pid, signal);
    else if (signal === "SIGKILL") this.#family = killTrees(this.#family);
    else for (const each of this.#family) signalTo(each.pid, signal);
  }

  async stop(signal: NodeJS.Signals = this.#options.stopSignal ?? "SIGTERM"): Promise<void> {
    const { name, stopTimeoutMs = 15_000 } = this.#options;
    this.kill(signal);
    // One that is frozen would not see it.
    if (signal !== "SIGSTOP") this.kill("SIGCONT");
    const isGone = () => this.exit !== undefined && !this.#family.some(isAlive);
    try {
      await until(isGone, { what: `${name} has not ended`, timeoutMs: stopTimeoutMs });
    } catch {
      const { pid } = this;
      const root = pid === undefined ? undefined : statOf(pid);
      killTrees([...(root ? [root] : []), ...this.#family]);
      await until(isGone, { what: `${name} cannot be killed`, timeoutMs: stopTimeoutMs });
    }
  }
}

function spawnChild({ command, args, env, cwd, logFile, user }: ProcessOptions): ChildProcess {
  const log = openSync(logFile, "a");
  try {
    return spawn(command, [...args], {
      detached: true,
      env: { ...env, [guardMarker.name]: guardMarker.value },
      cwd: cwd ?? "/",
      stdio: ["ignore", log, log],
      ...(user && { uid: user.uid, gid: user.gid }),
    });
  } finally {
    closeSync(log);
  }
}
