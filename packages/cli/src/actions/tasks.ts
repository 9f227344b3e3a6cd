// Reading tasks, watching and stopping them.
import type { Priority, Task, TaskFilter, TaskSelection } from "@sluice/client";
import type { Context } from "../context.ts";
import { type ExitCode, exitCodes, UsageError } from "../errors.ts";
import { formatData, formatDuration, formatTime, printable, statusStyle, taskJson } from "../format.ts";
import { type Cell, writeJson, writeNote, writeTable } from "../output.ts";

/** Options that say which tasks are meant. */
export interface SelectionOptions {
  readonly status?: NonNullable<TaskSelection["status"]>;
  readonly since?: (nowMs: number) => number;
  readonly until?: (nowMs: number) => number;
  readonly prefix?: string;
  readonly tag?: string;
  readonly priority?: Priority;
}

export interface ListOptions extends SelectionOptions {
  readonly oldestFirst?: boolean;
  readonly payload?: boolean;
  readonly limit: number;
}

export async function get(context: Context, functionName: string, taskId: string): Promise<ExitCode> {
  await writeTask(context, await context.client.get(functionName, taskId, { signal: context.signal }));
  return exitCodes.ok;
}

export async function stop(context: Context, functionName: string, taskId: string): Promise<ExitCode> {
  const task = await context.client.stop(functionName, taskId, { signal: context.signal });
  if (context.json) await writeJson(context.output, taskJson(task));
  else await context.output.write(`${printable(task.taskId)} ${task.status}\n`);
  return exitCodes.ok;
}

/** Writes a line for every change until the task is final. */
export async function watch(context: Context, functionName: string, taskId: string): Promise<ExitCode> {
  let last: Task | undefined;
  for await (const task of context.client.watch(functionName, taskId, { signal: context.signal })) {
    last = task;
    if (context.json) await writeJson(context.output, taskJson(task));
    else await context.output.write(`${formatTime(context.now())}  ${describe(task)}\n`);
  }
  return last?.status === "Succeeded" ? exitCodes.ok : exitCodes.taskFailed;
}

export async function list(
  context: Context,
  functionName: string | undefined,
  options: ListOptions,
): Promise<ExitCode> {
  const { client, output, signal, json } = context;
  const rows: Cell[][] = [];
  let count = 0;
  let hasMore = false;
  for await (const task of client.list(filterOf(context, functionName, options), { signal })) {
    if (count === options.limit) {
      hasMore = true;
      break;
    }
    count += 1;
    if (json) await writeJson(output, taskJson(task));
    else rows.push(rowOf(task, options));
  }
  if (!json && count === 0) await writeNote(output, "no tasks");
  if (!json && count > 0) {
    await writeTable(output, [...columns, ...(options.payload ? ["PAYLOAD", "RESULT"] : [])], rows);
  }
  if (!json && hasMore) await writeNote(output, `there are more; see them with --limit ${options.limit * 10}`);
  return exitCodes.ok;
}

function filterOf(context: Context, functionName: string | undefined, options: ListOptions): TaskFilter {
  // One more than shown tells whether there are more.
  const pageSize = Math.min(options.limit + 1, options.payload ? 50 : 500);
  return {
    pageSize,
    ...selectionOf(context, functionName, options),
    ...(options.oldestFirst && { order: "oldest first" }),
    ...(options.payload && { includePayload: true }),
  };
}

export function selectionOf(
  context: Context,
  functionName: string | undefined,
  options: SelectionOptions,
): TaskSelection {
  const { prefix, tag } = options;
  for (const [name, value] of Object.entries({ "the function": functionName, "--prefix": prefix, "--tag": tag })) {
    if (value === "") throw new UsageError(`${name} is empty, perhaps an unset variable; leave it out to mean any`);
  }
  return {
    ...(functionName !== undefined && { function: functionName }),
    ...(options.status !== undefined && { status: options.status }),
    ...(options.since && { enqueuedFromMs: options.since(context.now()) }),
    ...(options.until && { enqueuedUntilMs: options.until(context.now()) }),
    ...(options.prefix !== undefined && { taskIdPrefix: options.prefix }),
    ...(options.tag !== undefined && { tag: options.tag }),
    ...(options.priority !== undefined && { priority: options.priority }),
  };
}

const columns = ["FUNCTION", "TASK", "STATUS", "PRIORITY", "ATTEMPT", "ENQUEUED", "RAN", "ERROR"];
/** Wider cells would break the lines of a table. */
const cellCharactersMax = 60;

function rowOf(task: Task, { payload }: ListOptions): Cell[] {
  const texts = [
    task.priority,
    String(task.attempt),
    formatTime(task.enqueuedAtMs),
    ranFor(task),
    task.error?.type ?? "-",
  ];
  const data = payload ? [formatData(task.payload), formatData(task.result)] : [];
  return [
    { text: task.function },
    { text: task.taskId },
    { text: task.status, style: statusStyle(task.status) },
    ...[...texts, ...data].map((text) => ({ text: cut(text) })),
  ];
}

function ranFor({ startedAtMs, endedAtMs }: Task): string {
  return startedAtMs === undefined || endedAtMs === undefined ? "-" : formatDuration(endedAtMs - startedAtMs);
}

function cut(text: string): string {
  return text.length > cellCharactersMax ? `${text.slice(0, cellCharactersMax - 1)}…` : text;
}

function describe(task: Task): string {
  const parked = task.parkReason ? `, parked (${task.parkReason}) until ${formatTime(task.dueAtMs)}` : "";
  const error = task.error ? `, ${task.error.type}: ${task.error.message}` : "";
  const progress = task.progress ? `, progress ${task.progress}` : "";
  return printable(`${task.status}, attempt ${task.attempt}${parked}${error}${progress}`);
}

async function writeTask({ output, json }: Context, task: Task): Promise<void> {
  if (json) return writeJson(output, taskJson(task));
  const facts: readonly (readonly [string, string | 0 | undefined])[] = [
    ["function", task.function],
    ["task", task.taskId],
    ["status", task.status],
    ["priority", task.priority],
    ["tags", task.tags.join(", ")],
    ["attempt", `${task.attempt}, ${task.retries} retries`],
    ["enqueued", formatTime(task.enqueuedAtMs)],
    ["parked until", task.dueAtMs && `${formatTime(task.dueAtMs)} (${task.parkReason})`],
    ["expires", task.expiresAtMs && formatTime(task.expiresAtMs)],
    ["started", task.startedAtMs && formatTime(task.startedAtMs)],
    ["ended", task.endedAtMs && `${formatTime(task.endedAtMs)}, ran ${ranFor(task)}`],
    ["stop requested", task.stopRequested ? "yes" : undefined],
    ["agent", task.agentId && `${task.agentId}, instance ${task.instanceId ?? "-"}`],
    ["progress", task.progress],
    ["error", task.error && `${task.error.type}: ${task.error.message}`],
    ["error body", task.error?.body],
    ["payload", formatData(task.payload)],
    ["result", formatData(task.result)],
  ];
  const rows = facts.flatMap(([name, value]) =>
    value
      ? [
          [
            { text: name, style: "bold" as const },
            { text: value, style: styleOf(name, task) },
          ],
        ]
      : [],
  );
  await writeTable(output, undefined, rows);
  if (task.events.length === 0) return;
  await output.write("\n");
  const steps = task.events.flatMap((event, index) => {
    const missing = event.eventId - (task.events[index - 1]?.eventId ?? 0) - 1;
    const step = [
      { text: formatTime(event.timeMs) },
      { text: event.status },
      { text: event.attempt === 0 ? "-" : String(event.attempt) },
      { text: event.detail },
    ];
    return missing > 0 ? [[{ text: `${missing} left out` }], step] : [step];
  });
  await writeTable(output, ["TIME", "STEP", "ATTEMPT", "DETAIL"], steps);
}

function styleOf(name: string, task: Task) {
  return name === "status" ? statusStyle(task.status) : undefined;
}
