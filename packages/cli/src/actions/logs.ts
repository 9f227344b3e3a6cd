import type { LogOptions } from "@sluice/client";
import type { Context } from "../context.ts";
import { type ExitCode, exitCodes } from "../errors.ts";
import { dataJson, printableLines } from "../format.ts";
import { writeJson } from "../output.ts";

/** Writes what an attempt wrote, stdout to stdout and stderr to stderr. */
export async function logs(
  { client, output, signal, json }: Context,
  ref: { readonly functionName: string; readonly taskId: string },
  options: Omit<LogOptions, "signal">,
): Promise<ExitCode> {
  // A chunk may end within a character, so each stream has a decoder that keeps the beginning.
  const decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() };
  for await (const { data, ...chunk } of client.log(ref.functionName, ref.taskId, { ...options, signal })) {
    const isError = chunk.stream === "stderr";
    if (json) {
      await writeJson(output, { ...chunk, ...dataJson("data", data) });
      continue;
    }
    const isTerminal = isError ? output.isErrorTerminal : output.isTerminal;
    const safe = isTerminal ? printableLines(decoders[chunk.stream].decode(data, { stream: true })) : data;
    await (isError ? output.writeError(safe) : output.write(safe));
  }
  return exitCodes.ok;
}
