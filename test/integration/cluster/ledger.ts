// What handlers wrote about their own executions, outside of everything that the tests break.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { SluiceClient } from "@sluice/client";
import { functionZip } from "../function-zip.ts";

/** One execution of an attempt; `endedAt` is undefined when its process died first. In ms of one monotonic clock. */
export interface Execution {
  readonly taskId: string;
  readonly attempt: number;
  readonly startedAt: number;
  /** The last sign of life: a tick every 50 ms, or the end. */
  readonly seenAt: number;
  readonly hasEnded: boolean;
}

export interface Ledger {
  readonly path: string;
  executions(): Execution[];
}

export function openLedger(folder: string): Ledger {
  const path = join(folder, "ledger");
  writeFileSync(path, "");
  return { path, executions: () => parse(readFileSync(path, "utf8")) };
}

/** Runs for as many ms as its payload says. Times are those of the machine, since its start. */
const handler = `
const { appendFileSync } = require("node:fs");
exports.handler = (event, context) => new Promise((resolve) => {
  const { taskId, attempt } = context;
  const write = (kind) =>
    appendFileSync(process.env.LEDGER, [kind, taskId, attempt, process.hrtime.bigint() / 1000n].join(" ") + "\\n");
  write("start");
  const ticks = setInterval(() => write("tick"), 50);
  setTimeout(() => {
    clearInterval(ticks);
    write("end");
    resolve(taskId);
  }, Number(event.toString()));
});`;

export interface WorkOptions {
  /** Default: `work`. */
  readonly name?: string;
  readonly concurrencyMax?: number;
  readonly concurrencyReserved?: number;
}

/** Deploys a function whose handlers write to the ledger. */
export async function deployWork(
  client: SluiceClient,
  ledger: Ledger,
  { name = "work", concurrencyMax = 0, concurrencyReserved = 0 }: WorkOptions = {},
): Promise<void> {
  const settings = {
    concurrencyMax,
    concurrencyReserved,
    runtime: "nodejs20",
    handler: "index.handler",
    instanceConcurrency: 20,
    timeoutMs: 300_000,
    environment: { LEDGER: ledger.path },
  };
  await client.functions.deploy({ name, settings, codeZip: await functionZip({ "index.js": handler }) });
}

/** The ledger's clock. */
export function ledgerNow(): number {
  return Number(process.hrtime.bigint() / 1_000n) / 1_000;
}

/** An agent that dies may take the outcomes of so many ms with it: they have not reached its journal. */
const unheardMs = 500;

/**
 * Attempts that ran more than once, tasks of which two attempts ran at the same time, and attempts after one that had
 * ended, unless it ended when its agent was killed, at `agentDiedAt`.
 */
export function violations(executions: readonly Execution[], agentDiedAt = Number.POSITIVE_INFINITY): string[] {
  const byTask = new Map<string, Execution[]>();
  for (const execution of executions) {
    const known = byTask.get(execution.taskId);
    if (known) known.push(execution);
    else byTask.set(execution.taskId, [execution]);
  }
  return [...byTask.values()].flatMap((runs) => {
    const inOrder = runs.toSorted((a, b) => a.startedAt - b.startedAt);
    return inOrder.flatMap((run, index) => {
      const before = inOrder[index - 1];
      if (!before) return [];
      const problems: string[] = [];
      if (before.attempt >= run.attempt) problems.push(`${run.taskId}: attempt ${run.attempt} ran again`);
      if (before.seenAt > run.startedAt)
        problems.push(`${run.taskId}: attempt ${run.attempt} began before the end of ${before.attempt}`);
      if (before.hasEnded && before.seenAt < agentDiedAt - unheardMs)
        problems.push(`${run.taskId}: attempt ${run.attempt} ran although ${before.attempt} had ended`);
      return problems;
    });
  });
}

function parse(text: string): Execution[] {
  const executions: { -readonly [K in keyof Execution]: Execution[K] }[] = [];
  const open = new Map<string, (typeof executions)[number]>();
  for (const line of text.split("\n").slice(0, -1)) {
    const [kind = "", taskId = "", attempt = "", micros = ""] = line.split(" ");
    const at = Number(micros) / 1_000;
    const key = `${taskId} ${attempt}`;
    if (kind === "start") {
      const execution = { taskId, attempt: Number(attempt), startedAt: at, seenAt: at, hasEnded: false };
      executions.push(execution);
      open.set(key, execution);
      continue;
    }
    const execution = open.get(key);
    if (!execution) throw new Error(`the ledger has ${kind} of ${key} before its start`);
    execution.seenAt = at;
    execution.hasEnded ||= kind === "end";
  }
  return executions;
}
