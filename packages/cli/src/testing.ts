// What the tests of the command line share: ports that keep what is written, and a server to write about.
import { connect } from "@sluice/client";
import { type FakeServer, startFakeServer } from "@sluice/client/testing";
import type { Ports } from "./context.ts";
import { run } from "./run.ts";

export interface Written {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly input?: string | readonly Uint8Array[];
  readonly isTerminal?: boolean;
  readonly hasColors?: boolean;
  readonly environment?: Readonly<Record<string, string>>;
  readonly directory?: string;
  readonly signal?: AbortSignal;
}

/** Runs a command line; no process, no environment of this machine. */
export async function runLine(args: readonly string[], options: RunOptions = {}): Promise<Written> {
  const written = { stdout: "", stderr: "" };
  const { isTerminal = false, hasColors = false } = options;
  const ports: Ports = {
    output: {
      async write(data) {
        written.stdout += typeof data === "string" ? data : Buffer.from(data).toString("latin1");
      },
      async writeError(data) {
        written.stderr += typeof data === "string" ? data : Buffer.from(data).toString("latin1");
      },
      isTerminal,
      isErrorTerminal: isTerminal,
      hasColors,
      errorStream: process.stderr,
    },
    input: inputOf(options.input ?? ""),
    environment: options.environment ?? {},
    directory: options.directory ?? "/nonexistent",
    signal: options.signal ?? new AbortController().signal,
    now: () => 1_700_000_100_000,
    connect,
  };
  return { exitCode: await run(args, ports), ...written };
}

async function* inputOf(input: string | readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  if (typeof input === "string") yield Buffer.from(input);
  else yield* input;
}

export interface World extends AsyncDisposable {
  readonly server: FakeServer;
  /** Runs a command line against the server. */
  sluice(args: readonly string[], options?: RunOptions): Promise<Written>;
}

export async function startWorld(): Promise<World> {
  const server = await startFakeServer();
  return {
    server,
    sluice: (args, options = {}) =>
      runLine(args, { ...options, environment: { SLUICE_ADDRESS: server.address, ...options.environment } }),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** The lines of a JSON output. */
export function jsonLines(text: string): Record<string, unknown>[] {
  return text
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));
}
