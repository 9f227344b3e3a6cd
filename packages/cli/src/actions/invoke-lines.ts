import { type SluiceError, type Submission, type SubmitResult, WaitTimedOut } from "@sluice/client";
import type { Context } from "../context.ts";
import { type ExitCode, exitCodes } from "../errors.ts";
import { taskJson } from "../format.ts";
import { readLines } from "../lines.ts";
import { writeJson, writeNote } from "../output.ts";
import { startProgress } from "../progress.ts";
import { type InvokeOptions, settingsOf } from "./invoke.ts";

interface Counts {
  submitted: number;
  refused: number;
  succeeded: number;
  failed: number;
}

/** Tasks that are waited for at the same time: one call each. */
const waitsMax = 64;

/** Submits one task per line of the input; with `wait`, also waits until all of them are final. */
export async function invokeLines(context: Context, functionName: string, options: InvokeOptions): Promise<ExitCode> {
  const { client, output, signal } = context;
  const counts: Counts = { submitted: 0, refused: 0, succeeded: 0, failed: 0 };
  const read = { lines: 0 };
  const progress = startProgress(output, options.wait ? "waiting" : "submitting");
  const waits = new Set<Promise<void>>();
  const failure = new AbortController();
  const stop = AbortSignal.any([signal, failure.signal]);
  try {
    const submissions = lineSubmissions(context, functionName, options, read);
    for await (const result of client.submitMany(submissions, { signal: stop })) {
      await noteAnswer(context, result, counts, options);
      if (result.ok && options.wait) {
        const wait = waitFor(context, functionName, result.taskId, { options, counts, stop })
          .catch((cause: unknown) => failure.abort(cause))
          .finally(() => waits.delete(wait));
        waits.add(wait);
        if (waits.size >= waitsMax) await Promise.race(waits);
      }
      const done = options.wait ? counts.succeeded + counts.failed : counts.submitted;
      progress.update(done + counts.refused, read.lines);
    }
    while (waits.size > 0) {
      await Promise.race(waits);
      progress.update(counts.succeeded + counts.failed + counts.refused, read.lines);
    }
    stop.throwIfAborted();
  } finally {
    progress.stop();
    failure.abort();
    await Promise.all(waits);
  }
  if (!context.json) await writeNote(output, summaryOf(counts, options));
  if (counts.refused > 0) return exitCodes.rejected;
  return counts.failed > 0 ? exitCodes.taskFailed : exitCodes.ok;
}

async function* lineSubmissions(
  context: Context,
  functionName: string,
  { token, ...options }: InvokeOptions,
  read: { lines: number },
): AsyncGenerator<Submission> {
  const shared = settingsOf(functionName, options);
  for await (const payload of readLines(context.input)) {
    read.lines += 1;
    // One token for each line, so that running the same command on the same input again submits nothing twice.
    yield { ...shared, payload, ...(token !== undefined && { submissionToken: `${token}.${read.lines}` }) };
  }
}

async function noteAnswer({ output, json }: Context, result: SubmitResult, counts: Counts, options: InvokeOptions) {
  const line = result.index + 1;
  if (result.ok) {
    counts.submitted += 1;
    if (options.wait) return;
    const { taskId, repeated } = result;
    await (json ? writeJson(output, { line, taskId, repeated }) : output.write(`${taskId}\n`));
    return;
  }
  counts.refused += 1;
  if (json) await writeJson(output, { line, taskId: result.taskId, error: errorJson(result.error) });
  else await writeNote(output, `line ${line}: ${result.error.message} [${result.error.reason}]`);
}

async function waitFor(
  { client, output, json }: Context,
  functionName: string,
  taskId: string,
  { options, counts, stop }: { options: InvokeOptions; counts: Counts; stop: AbortSignal },
): Promise<void> {
  const timeout = options.timeout === undefined ? {} : { timeoutMs: options.timeout };
  const task = await client.wait(functionName, taskId, { ...timeout, signal: stop }).catch((cause: unknown) => {
    if (cause instanceof WaitTimedOut) return cause.task;
    throw cause;
  });
  if (task.status === "Succeeded") counts.succeeded += 1;
  else counts.failed += 1;
  if (json) await writeJson(output, taskJson(task));
  else if (task.status !== "Succeeded") {
    await writeNote(output, `task ${taskId} ${task.status}: ${task.error?.message ?? "no error"}`);
  }
}

function summaryOf(counts: Counts, { wait }: InvokeOptions): string {
  const submitted = `${counts.submitted} submitted, ${counts.refused} refused`;
  return wait ? `${submitted}, ${counts.succeeded} succeeded, ${counts.failed} failed` : submitted;
}

function errorJson({ code, reason, field, message }: SluiceError): Record<string, unknown> {
  return { code, reason, field, message };
}
