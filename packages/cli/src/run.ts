import { type Command, CommanderError } from "commander";
import { type ConnectionFlags, resolveConnection } from "./connection.ts";
import type { Context, Ports } from "./context.ts";
import { type ExitCode, exitCodes, explain } from "./errors.ts";
import { printable } from "./format.ts";
import { createProgram } from "./program.ts";

interface Flags extends ConnectionFlags {
  readonly json?: boolean;
}

/** Runs one command line (without the program's name) and returns its exit code. Never rejects. */
export async function run(args: readonly string[], ports: Ports): Promise<ExitCode> {
  let exitCode: ExitCode = exitCodes.ok;
  let address = "";
  const texts: [to: "write" | "writeError", text: string][] = [];
  const program = createProgram({
    async connected(action) {
      const flags: Flags = program.opts();
      const options = await resolveConnection(flags, ports);
      address = options.address;
      await using client = ports.connect(options);
      const context: Context = { ...ports, client, address, json: flags.json ?? false };
      exitCode = await action(context);
    },
    print: (text) => ports.output.write(text),
  });
  forEachCommand(program, (command) =>
    command.exitOverride().configureOutput({
      writeOut: (text) => texts.push(["write", text]),
      writeErr: (text) => texts.push(["writeError", text]),
      getOutHasColors: () => ports.output.hasColors,
      getErrHasColors: () => false,
    }),
  );
  try {
    await program.parseAsync(args, { from: "user" });
  } catch (cause) {
    exitCode = cause instanceof CommanderError ? exitCodeOf(cause) : await report(cause, address, isJson(args), ports);
  }
  for (const [to, text] of texts) await ports.output[to](text);
  return exitCode;
}

/** Commander's own ends: help and version are fine, everything else is a wrong command line. */
function exitCodeOf(error: CommanderError): ExitCode {
  return error.exitCode === 0 || error.code === "commander.help" ? exitCodes.ok : exitCodes.usage;
}

async function report(cause: unknown, address: string, json: boolean, ports: Ports): Promise<ExitCode> {
  const { exitCode, ...failure } = explain(cause, { address, signal: ports.signal });
  const text = json ? JSON.stringify({ error: failure }) : `sluice: ${printable(failure.message)}`;
  await ports.output.writeError(`${text}\n`);
  return exitCode;
}

/** Read by itself, because a command line that is wrong has no options. */
function isJson(args: readonly string[]): boolean {
  return args.includes("--json");
}

function forEachCommand(command: Command, visit: (command: Command) => void): void {
  visit(command);
  for (const child of command.commands) forEachCommand(child, visit);
}
