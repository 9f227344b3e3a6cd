// A standalone instance as a process of its own, on free ports.
import { type ChildProcess, spawn } from "node:child_process";
import { cpSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { connect, type SluiceClient } from "@sluice/client";
import type { ClientProfile } from "@sluice/standalone";
import { openPglite } from "@sluice/store/pglite";
import { openFolder } from "@sluice/testbed";

const main = join(import.meta.dirname, "../../packages/standalone/src/main.ts");

export interface StandaloneProcess extends AsyncDisposable {
  readonly pid: number;
  readonly profile: ClientProfile;
  /** `http://host:port` */
  readonly httpUrl: string;
  /** Of the HTTP API. */
  readonly fcUrl: string;
  /** What it printed on standard output. */
  readonly output: string;
  /** From the start of the process until it said that it is ready, in ms. */
  readonly readyAfterMs: number;
  client(): SluiceClient;
  /** Sends the signal and waits for the end; resolves with the exit code, null if a signal ended it. */
  kill(signal: NodeJS.Signals): Promise<number | null>;
}

/**
 * A data folder whose database is there already. An empty one takes seconds to become a database; this one is copied from
 * one that was made for all tests of a file.
 */
export async function preparedDataDir(folder: string): Promise<string> {
  template ??= makeTemplate();
  const dataDir = join(folder, "data");
  cpSync(await template, join(dataDir, "database"), { recursive: true });
  return dataDir;
}
let template: Promise<string> | undefined;

async function makeTemplate(): Promise<string> {
  // Deleted when this process is gone, however it ends.
  const { path } = openFolder({ name: "template" });
  await using _store = await openPglite({ dataDir: path, inWorker: false });
  return path;
}

/** Starts an instance and waits until it is ready. Rejects with what it printed if it ends before. */
export async function startStandalone(
  dataDir: string,
  flags: readonly string[] = [],
  env: Record<string, string> = {},
): Promise<StandaloneProcess> {
  const startedAt = performance.now();
  const child = spawnStandalone(dataDir, flags, env);
  const exited = new Promise<number | null>((resolve) => child.once("exit", (code) => resolve(code)));
  const printed = capture(child);
  const ready = new Promise<boolean>((resolve) => {
    child.stdout?.on("data", () => {
      if (printed.stdout.includes("/metrics")) resolve(true);
    });
    void exited.then(() => resolve(false));
  });
  if (!(await ready)) throw new Error(`standalone ended with ${await exited}: ${printed.stderr}`);
  const readyAfterMs = performance.now() - startedAt;
  const profile = JSON.parse(readFileSync(join(dataDir, "client.json"), "utf8")) as ClientProfile;
  const kill = (signal: NodeJS.Signals) => {
    child.kill(signal);
    return exited;
  };
  return {
    pid: child.pid as number,
    profile,
    httpUrl: /(http:\/\/\S+)\/healthz/.exec(printed.stdout)?.[1] ?? "",
    fcUrl: /(http:\/\/\S+)\/2023-03-30/.exec(printed.stdout)?.[1] ?? "",
    get output() {
      return printed.stdout;
    },
    readyAfterMs,
    client: () => connect(profile),
    kill,
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.signalCode === null) await kill("SIGTERM");
    },
  };
}

/** Runs an instance that is expected to end by itself. */
export async function runStandalone(dataDir: string, flags: readonly string[], env: Record<string, string> = {}) {
  const child = spawnStandalone(dataDir, flags, env);
  const printed = capture(child);
  const code = await new Promise<number | null>((resolve) => child.once("close", (exitCode) => resolve(exitCode)));
  return { code, stdout: printed.stdout, stderr: printed.stderr };
}

function spawnStandalone(dataDir: string, flags: readonly string[], env: Record<string, string>): ChildProcess {
  const ports = ["--grpc-port", "0", "--http-port", "0", "--fc-address", "127.0.0.1:0", "--data-dir", dataDir];
  return spawn(process.execPath, ["--import", "tsx", main, ...ports, ...flags], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...env },
  });
}

function capture(child: ChildProcess): { stdout: string; stderr: string } {
  const printed = { stdout: "", stderr: "" };
  child.stdout?.on("data", (chunk: Buffer) => {
    printed.stdout += chunk.toString("utf8");
  });
  child.stderr?.on("data", (chunk: Buffer) => {
    printed.stderr += chunk.toString("utf8");
  });
  return printed;
}
