// The process: its streams, its environment and Ctrl-C.
import { once } from "node:events";
import { connect } from "@sluice/client";
import { exitCodes } from "./errors.ts";
import type { Output } from "./output.ts";
import { run } from "./run.ts";

// Warnings for developers, such as that a server is named by its address, are not for those who type commands.
process.noDeprecation = true;

const interrupt = new AbortController();
for (const name of ["SIGINT", "SIGTERM"] as const) {
  process.on(name, () => {
    // A second one does not wait for anything.
    if (interrupt.signal.aborted) process.exit(exitCodes.interrupted);
    interrupt.abort(new DOMException("interrupted", "AbortError"));
  });
}
// A reader that went away, such as `head`, wants no more.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    process.exit(exitCodes.ok);
  });
}

process.exitCode = await run(process.argv.slice(2), {
  output: outputOf(process.stdout, process.stderr),
  input: process.stdin,
  environment: process.env,
  directory: process.cwd(),
  signal: interrupt.signal,
  now: () => Date.now(),
  connect,
});

function outputOf(stdout: NodeJS.WriteStream, stderr: NodeJS.WriteStream): Output {
  return {
    write: (data) => writeAll(stdout, data),
    writeError: (data) => writeAll(stderr, data),
    isTerminal: stdout.isTTY ?? false,
    isErrorTerminal: stderr.isTTY ?? false,
    // https://no-color.org: any value that is not empty.
    hasColors: (stdout.isTTY ?? false) && !process.env["NO_COLOR"] && process.env["TERM"] !== "dumb",
    errorStream: stderr,
  };
}

async function writeAll(stream: NodeJS.WriteStream, data: string | Uint8Array): Promise<void> {
  if (!stream.write(data)) await once(stream, "drain");
}
