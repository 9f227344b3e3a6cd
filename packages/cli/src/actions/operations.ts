// Pausing what waits, and stopping or deleting many tasks at once.
import type { Operation, Pause, PauseTarget, TaskSelection } from "@sluice/client";
import type { Context } from "../context.ts";
import { type ExitCode, exitCodes, UsageError } from "../errors.ts";
import { formatDuration, formatTime, type Style } from "../format.ts";
import { type Cell, writeJson, writeNote, writeTable } from "../output.ts";
import { startProgress } from "../progress.ts";
import { type SelectionOptions, selectionOf } from "./tasks.ts";

export interface TargetOptions extends SelectionOptions {
  readonly account?: string | true;
  readonly queue?: string;
  readonly all?: boolean;
}

export interface PauseOptions extends TargetOptions {
  readonly reason?: string;
}

export interface BatchOptions extends SelectionOptions {
  readonly all?: boolean;
  readonly async?: boolean;
  readonly account?: string;
  readonly operationId?: string;
}

export async function pause(
  context: Context,
  functionName: string | undefined,
  options: PauseOptions,
): Promise<ExitCode> {
  const { client, output, signal, json } = context;
  const { reason } = options;
  const target = targetOf(context, functionName, options);
  const paused = await client.operations.pause(target, { signal, ...(reason !== undefined && { reason }) });
  await (json ? writeJson(output, paused) : output.write(`${paused.pauseId}  ${describeTarget(paused.target)}\n`));
  return exitCodes.ok;
}

/** By what was paused, or by the id of the pause. */
export async function resume(context: Context, named: string | undefined, options: TargetOptions): Promise<ExitCode> {
  const { client, output, signal, json } = context;
  const paused = /^p-[0-9a-f]{24}$/.test(named ?? "") ? { pauseId: named ?? "" } : targetOf(context, named, options);
  const { resumed, stillHeld } = await client.operations.resume(paused, { signal });
  if (json) await writeJson(output, { resumed, stillHeld });
  else await writeNote(output, `${resumed ? "resumed" : "it was not paused"}${describeHeld(stillHeld)}`);
  return resumed ? exitCodes.ok : exitCodes.notFound;
}

export async function pauses({ client, output, signal, json }: Context): Promise<ExitCode> {
  const found = await client.operations.pauses({ signal });
  if (json) {
    for (const each of found) await writeJson(output, each);
    return exitCodes.ok;
  }
  if (found.length === 0) await writeNote(output, "nothing is paused");
  else await writeTable(output, ["PAUSE", "SINCE", "ACCOUNT", "HELD BY", "PAUSED", "REASON"], found.map(pauseRow));
  return exitCodes.ok;
}

/** Starts it and shows how far it is until it has ended; an interruption leaves it at work. */
export async function batch(
  context: Context,
  kind: "stop" | "delete",
  functionName: string | undefined,
  options: BatchOptions,
): Promise<ExitCode> {
  const { client, signal } = context;
  const filter = selectionOf(context, functionName, options);
  assertMeant(filter, options);
  const start = kind === "stop" ? client.operations.stopTasks : client.operations.deleteTasks;
  const { operationId, account: accountId } = options;
  const started = await start(filter, {
    signal,
    ...(operationId !== undefined && { operationId }),
    ...(accountId !== undefined && { accountId }),
  });
  return options.async ? await writeOperation(context, started) : await follow(context, started);
}

export async function listOperations({ client, output, signal, json }: Context, limit: number): Promise<ExitCode> {
  const rows: Cell[][] = [];
  let count = 0;
  for await (const operation of client.operations.list({ signal })) {
    if (count === limit) break;
    count += 1;
    if (json) await writeJson(output, operation);
    else rows.push(operationRow(operation));
  }
  if (!json && count === 0) await writeNote(output, "no operations");
  if (!json && count > 0) {
    await writeTable(
      output,
      ["OPERATION", "KIND", "STATE", "STARTED", "TOOK", "MATCHED", "DONE", "FAILED", "TASKS"],
      rows,
    );
  }
  return exitCodes.ok;
}

export async function showOperation(context: Context, operationId: string): Promise<ExitCode> {
  return await writeOperation(context, await context.client.operations.get(operationId, { signal: context.signal }));
}

export async function watchOperation(context: Context, operationId: string): Promise<ExitCode> {
  return await follow(context, await context.client.operations.get(operationId, { signal: context.signal }));
}

export async function cancelOperation(context: Context, operationId: string): Promise<ExitCode> {
  return await writeOperation(context, await context.client.operations.cancel(operationId, { signal: context.signal }));
}

async function follow(context: Context, started: Operation): Promise<ExitCode> {
  const { client, output, signal, json } = context;
  const progress = startProgress(output, started.kind === "stop" ? "stopping" : "deleting");
  let last = started;
  try {
    for await (const operation of client.operations.watch(started.operationId, { signal })) {
      last = operation;
      if (json) await writeJson(output, operation);
      else progress.update(operation.done + operation.failed, operation.matched);
    }
  } finally {
    progress.stop();
  }
  if (json) return exitCodeOf(last);
  return await writeOperation(context, last);
}

async function writeOperation({ output, json }: Context, operation: Operation): Promise<ExitCode> {
  if (json) await writeJson(output, operation);
  else {
    const { operationId, kind, state, matched, done, failed, lanesDone, lanesTotal } = operation;
    const did = kind === "stop" ? "stopped" : "deleted";
    const left = failed > 0 ? `, ${failed} ended by themselves` : "";
    const lanes = state === "running" ? `, ${lanesDone} of ${lanesTotal} lanes done` : "";
    await output.write(`${operationId} ${state}: ${done} of ${matched} ${did}${left}${lanes}\n`);
  }
  return exitCodeOf(operation);
}

function exitCodeOf({ state }: Operation): ExitCode {
  return state === "cancelled" ? exitCodes.taskFailed : exitCodes.ok;
}

function targetOf(context: Context, functionName: string | undefined, options: TargetOptions): PauseTarget {
  const { account, queue } = options;
  const { function: name, ...filter } = selectionOf(context, functionName, options);
  const accountId = typeof account === "string" ? account : undefined;
  const hasFilter = Object.keys(filter).length > 0;
  if (queue !== undefined) {
    if (name !== undefined || hasFilter)
      throw new UsageError("a queue is paused as a whole: leave the other options out");
    return { queue };
  }
  if (hasFilter) return { tasks: { ...(name !== undefined && { function: name }), ...filter }, accountId };
  if (name !== undefined) return { function: name, accountId };
  if (account !== undefined) return { account: true, accountId };
  throw new UsageError("say what: a function, --account, --queue, or a filter");
}

/** Nothing given would mean everything. */
function assertMeant(filter: TaskSelection, { all }: BatchOptions): void {
  if (Object.keys(filter).length > 0 || all) return;
  throw new UsageError("say which tasks: a function or a filter; or --all for every task of the account");
}

function describeTarget(target: PauseTarget): string {
  if ("function" in target) return `function ${target.function}`;
  if ("queue" in target) return `queue ${target.queue}`;
  if ("tasks" in target) return describeFilter(target.tasks);
  return "account";
}

function describeFilter(filter: TaskSelection): string {
  const { enqueuedFromMs, enqueuedUntilMs, ...rest } = filter;
  const times = [
    ...(enqueuedFromMs === undefined ? [] : [`since ${formatTime(enqueuedFromMs)}`]),
    ...(enqueuedUntilMs === undefined ? [] : [`until ${formatTime(enqueuedUntilMs)}`]),
  ];
  const parts = [...Object.entries(rest).map(([name, value]) => `${names[name] ?? name} ${value}`), ...times];
  return parts.length === 0 ? "all tasks" : `tasks: ${parts.join(", ")}`;
}
const names: Readonly<Record<string, string>> = { taskIdPrefix: "prefix" };

function pauseRow({ pauseId, createdAtMs, target, heldBy, reason }: Pause): Cell[] {
  const account = target.accountId ?? "-";
  const texts = [pauseId, formatTime(createdAtMs), account, heldBy, describeTarget(target), reason ?? "-"];
  return texts.map((text) => ({ text }));
}

function describeHeld(pause: Pause | undefined): string {
  if (pause === undefined) return "";
  const whose = pause.heldBy === "operators" ? "the operators'" : "the account's own";
  return `; ${whose} pause ${pause.pauseId} holds it still`;
}

function operationRow(operation: Operation): Cell[] {
  const { operationId, kind, state, createdAtMs, endedAtMs, matched, done, failed, filter } = operation;
  const took = endedAtMs === undefined ? "-" : formatDuration(endedAtMs - createdAtMs);
  const counts = [matched, done, failed].map(String);
  const texts = [formatTime(createdAtMs), took, ...counts, describeFilter(filter)].map((text) => ({ text }));
  return [{ text: operationId }, { text: kind }, { text: state, style: styles[state] }, ...texts];
}
const styles: Readonly<Record<Operation["state"], Style | undefined>> = {
  running: "cyan",
  done: "green",
  cancelled: "yellow",
  unknown: undefined,
};
