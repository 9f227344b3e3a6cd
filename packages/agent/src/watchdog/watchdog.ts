import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Clock } from "@sluice/core";
import type { Guard, KillTarget } from "./guard.ts";
import { acquireHostLock } from "./host-lock.ts";

/** The agent's end of the watchdog, which holds the host lock as long as it lives. */
export interface Watchdog extends Guard, AsyncDisposable {
  readonly pid: number;
  /** The agent may be trusted for another `ms` from now. Pass what is left of the lifeline, never a fresh period. */
  extend(ms: number): void;
  /**
   * Resolves when the watchdog is gone, for whatever reason. The agent then has neither a guard nor the lock: it must
   * kill its instances and exit.
   */
  readonly exited: Promise<void>;
  /** Lets the watchdog kill what is still added and release the lock, and waits for its end. */
  [Symbol.asyncDispose](): Promise<void>;
}

export interface WatchdogOptions {
  readonly dataDir: string;
  readonly clock: Clock;
  /** Trust before the first `extend`. */
  readonly firstDeadlineMs?: number;
  /** Between SIGTERM and SIGKILL. With 3 s everything is gone 5 s after the deadline. */
  readonly graceMs?: number;
  /** Gives up waiting for the lock. */
  readonly signal?: AbortSignal;
}

/** Waits until no other watchdog guards `dataDir`, then starts one that does. */
export async function startWatchdog(options: WatchdogOptions): Promise<Watchdog> {
  const { dataDir, clock, signal, firstDeadlineMs = 20_000, graceMs = 3_000 } = options;
  mkdirSync(dataDir, { recursive: true });
  for (;;) {
    await acquireHostLock(dataDir, { clock, ...(signal && { signal }) });
    const child = spawnWatchdog([dataDir, String(firstDeadlineMs), String(graceMs)]);
    if ((await firstLine(child)) === "held") return new PipedWatchdog(child);
    // Two contenders may have seen each other and both given up. Different pids make different pauses.
    await clock.sleep(20 + ((child.pid ?? process.pid) % 97), signal);
  }
}

class PipedWatchdog implements Watchdog {
  readonly pid: number;
  readonly exited: Promise<void>;
  readonly #child: ChildProcess;

  constructor(child: ChildProcess) {
    this.#child = child;
    this.pid = child.pid as number;
    this.exited = once(child, "exit").then(() => undefined);
    // An EPIPE means that it is gone, which `exited` tells.
    child.stdin?.on("error", () => undefined);
  }

  extend(ms: number): void {
    // The absolute time on the clock that both processes share: a command that lies in the pipe must not gain trust.
    const nowMs = Number(process.hrtime.bigint() / 1000n) / 1000;
    this.#send(`alive ${nowMs + ms}`);
  }

  add(target: KillTarget): void {
    this.#send(`add ${JSON.stringify(target)}`);
  }

  remove(id: string): void {
    this.#send(`remove ${id}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin?.end();
    await this.exited;
  }

  #send(line: string): void {
    if (this.#child.stdin?.writable) this.#child.stdin.write(`${line}\n`);
  }
}

function spawnWatchdog(parameters: readonly string[]): ChildProcess {
  const script = fileURLToPath(new URL("watchdog.mjs", import.meta.url));
  // A session of its own, so that Ctrl-C in the agent's terminal does not reach it; a small heap, it keeps little. Its
  // environment is empty: it outlives us and needs nothing.
  const flags = ["--max-old-space-size=32", "--max-semi-space-size=1", "--single-threaded", "--v8-pool-size=0"];
  return spawn(process.execPath, [...flags, script, ...parameters], {
    detached: true,
    env: {},
    cwd: "/",
    stdio: ["pipe", "pipe", "ignore"],
  });
}

async function firstLine(child: ChildProcess): Promise<string> {
  let text = "";
  for await (const chunk of child.stdout ?? []) {
    text += String(chunk);
    if (text.includes("\n")) break;
  }
  return text.trim();
}
