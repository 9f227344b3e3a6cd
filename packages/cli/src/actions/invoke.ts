import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { Priority, Submission, Task } from "@sluice/client";
import type { Context } from "../context.ts";
import { type ExitCode, exitCodes } from "../errors.ts";
import { formatData, printable, printableLines, taskJson } from "../format.ts";
import { writeJson, writeNote } from "../output.ts";

export interface InvokeOptions {
  readonly async?: boolean;
  readonly wait?: boolean;
  readonly event?: string;
  readonly file?: string;
  readonly stdinLines?: boolean;
  readonly taskId?: string;
  readonly priority?: Priority;
  readonly delay?: number;
  readonly expires?: number;
  readonly token?: string;
  readonly tag?: readonly string[];
  readonly timeout?: number;
}

/** Submits one task; unless `async`, waits for it and writes its result. */
export async function invoke(context: Context, functionName: string, options: InvokeOptions): Promise<ExitCode> {
  const { client, output, signal, json } = context;
  const payload = options.file ? await readFile(resolve(context.directory, options.file)) : (options.event ?? "");
  const submission = { ...settingsOf(functionName, options), payload };
  const accepted = await client.submit(submission, { signal });
  if (options.async) {
    await (json ? writeJson(output, accepted) : output.write(`${printable(accepted.taskId)}\n`));
    return exitCodes.ok;
  }
  if (output.isErrorTerminal && !json)
    await writeNote(output, `task ${accepted.taskId} accepted, waiting for its result`);
  const waitOptions = { signal, ...(options.timeout !== undefined && { timeoutMs: options.timeout }) };
  const task = await client.wait(functionName, accepted.taskId, waitOptions);
  await writeResult(context, task);
  return task.status === "Succeeded" ? exitCodes.ok : exitCodes.taskFailed;
}

/** What all tasks of one command share. */
export function settingsOf(functionName: string, options: InvokeOptions): Submission {
  return {
    function: functionName,
    ...(options.taskId !== undefined && { taskId: options.taskId }),
    ...(options.priority !== undefined && { priority: options.priority }),
    ...(options.delay !== undefined && { delayMs: options.delay }),
    ...(options.expires !== undefined && { expiresAfterMs: options.expires }),
    ...(options.token !== undefined && { submissionToken: options.token }),
    ...(options.tag !== undefined && { tags: options.tag }),
  };
}

async function writeResult({ output, json }: Context, task: Task): Promise<void> {
  if (json) return writeJson(output, taskJson(task));
  if (task.status !== "Succeeded") return writeNote(output, `task ${task.taskId} ${describeEnd(task)}`);
  // A program gets the bytes as they are; on a terminal they could do harm.
  if (output.isTerminal) await output.write(`${printableLines(formatData(task.result))}\n`);
  else await output.write(task.result);
}

function describeEnd({ status, error }: Task): string {
  return error ? `${status}: ${error.type}: ${error.message}` : `is ${status}`;
}
