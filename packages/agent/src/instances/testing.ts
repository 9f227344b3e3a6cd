// Fixtures of the tests of this package that start real processes.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Clock, Random } from "@sluice/core";
import { noGuard } from "../watchdog/guard.ts";
import { killTargets, statOf } from "../watchdog/kill-tree.mjs";
import { type Cgroups, detectCgroups, leftoverTargets, noCgroups, removeScope } from "./cgroup.ts";
import {
  createInstancePool,
  type FunctionSpec,
  type InstancePool,
  type InstancePoolOptions,
  type Invocation,
  type Outcome,
} from "./pool.ts";

/** Real time: real processes do not wait for a fake one. */
export const realClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const end = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", end);
        resolve();
      };
      const timer = setTimeout(end, Math.min(ms, 2 ** 31 - 1));
      signal?.addEventListener("abort", end);
    }),
  timer: (ms, callback) => {
    const timer = setTimeout(callback, Math.min(ms, 2 ** 31 - 1));
    return () => clearTimeout(timer);
  },
};

let ids = 0;

/** Unique in the process and between processes, which is all that ids need here. */
export const countingRandom: Random = {
  next: () => 0.5,
  fork: () => countingRandom,
  hex: (bytes) => `${(process.pid * 100_000 + ids++).toString(16)}`.padStart(bytes * 2, "0").slice(-bytes * 2),
};

export interface TestPool extends AsyncDisposable {
  readonly pool: InstancePool;
  readonly directory: string;
  /** Writes a file of the function's code. */
  spec(overrides?: Partial<FunctionSpec>): FunctionSpec;
  run(spec: FunctionSpec, overrides?: Partial<Invocation>, signal?: AbortSignal): Promise<Outcome & { log: string }>;
}

/** A pool whose functions all have the given files as their code. */
export function startPool(files: Record<string, string>, options: Partial<InstancePoolOptions> = {}): TestPool {
  const directory = mkdtempSync(join(tmpdir(), "sluice-instances-"));
  const codeDir = join(directory, "code");
  writeFiles(codeDir, files);
  const scope = `test-${countingRandom.hex(6)}`;
  const cgroups: Cgroups = options.cgroups ?? detectCgroups(scope);
  const pool = createInstancePool({
    clock: realClock,
    random: countingRandom,
    code: { acquire: async () => ({ dir: codeDir, release: () => undefined }) },
    guard: noGuard,
    scope,
    workDir: join(directory, "work"),
    environment: { ...process.env, SLUICE_SECRET: "of the agent" },
    instancesMax: 4,
    limits: { graceMs: 400 },
    ...options,
    cgroups,
  });
  return {
    pool,
    directory,
    spec: aSpec,
    run: (spec, overrides, signal = new AbortController().signal) => runOne(pool, spec, overrides, signal),
    async [Symbol.asyncDispose]() {
      await pool.killAll();
      await killTargets(leftoverTargets(scope), { graceMs: 0, sleep: realClock.sleep, now: realClock.monotonic });
      removeScope(scope);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

export const withoutCgroups = { cgroups: noCgroups };

export function aSpec(overrides: Partial<FunctionSpec> = {}): FunctionSpec {
  return {
    accountId: "account",
    functionName: "function",
    revision: 1,
    runtime: "nodejs20",
    handler: "index.handler",
    codeSha256: "0".repeat(64),
    timeoutMs: 20_000,
    memoryMb: 256,
    instanceConcurrency: 1,
    environment: {},
    idleTimeoutMs: 60_000,
    latencySensitive: false,
    instancesMax: 4,
    ...overrides,
  };
}

async function runOne(
  pool: InstancePool,
  spec: FunctionSpec,
  overrides: Partial<Invocation> = {},
  signal: AbortSignal,
) {
  let log = "";
  const outcome = await pool.run(
    spec,
    {
      requestId: "request-1",
      taskId: "task-1",
      attempt: 1,
      retryCount: 0,
      payload: Buffer.from("payload"),
      fenceToken: "fence-1",
      onStarted: () => undefined,
      ...overrides,
      onLog: (stream, chunk) => {
        log += Buffer.from(chunk).toString();
        overrides.onLog?.(stream, chunk);
      },
    },
    signal,
  );
  return { ...outcome, log };
}

export function writeFiles(directory: string, files: Record<string, string>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), text);
  }
}

/** The result of a success as text; fails the test otherwise. */
export function resultOf(outcome: Outcome): string {
  if (outcome.kind !== "succeeded") throw new Error(`not a success: ${JSON.stringify(describe(outcome))}`);
  return Buffer.from(outcome.result).toString();
}

/** The failure, with its body parsed. */
export function failureOf(outcome: Outcome) {
  if (outcome.kind !== "failed") throw new Error(`not a failure: ${JSON.stringify(describe(outcome))}`);
  const { errorType, message } = outcome;
  return {
    errorType,
    message,
    class: outcome.class,
    retryAfterMs: outcome.retryAfterMs,
    body: JSON.parse(Buffer.from(outcome.body).toString()),
  };
}

function describe(outcome: Outcome) {
  return outcome.kind === "succeeded" ? { ...outcome, result: Buffer.from(outcome.result).toString() } : outcome;
}

/** Whether a process runs; a zombie does not. */
export function isRunning(pid: number): boolean {
  const state = statOf(pid)?.state;
  return state !== undefined && state !== "Z";
}

/** Waits for a fact. */
export async function eventually(isTrue: () => boolean, what = String(isTrue)): Promise<void> {
  const until = performance.now() + 15_000;
  while (!isTrue()) {
    if (performance.now() > until) throw new Error(`never became true: ${what}`);
    await realClock.sleep(5);
  }
}
