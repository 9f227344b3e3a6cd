// What is measured, from the client's side.
import type { SluiceClient, Submission } from "@sluice/client";
import { apiClient, Priority, TaskServiceService } from "@sluice/protocol";
import { functionZip } from "../test/integration/function-zip.ts";

/** Of every task of the bench. */
export const payloadBytes = 256;

export interface BenchFunction {
  readonly name: string;
  /** Attempts at once in one instance. */
  readonly concurrency: number;
}

/** Answers with the time at which it started, in ms since 1970, with fractions. */
const handler = "exports.handler = async () => String(performance.timeOrigin + performance.now());";

export async function deploy(client: SluiceClient, { name, concurrency }: BenchFunction, instances: number) {
  const settings = {
    runtime: "nodejs20",
    handler: "index.handler",
    instanceConcurrency: concurrency,
    instancesMax: instances,
  };
  await client.functions.deploy({ name, settings, codeZip: await functionZip({ "index.js": handler }) });
}

/** Submits in bulk; tasks per second until the last answer. `prefix` makes the ids new. */
export async function bulkSubmit(client: SluiceClient, functionName: string, prefix: string, count: number) {
  const payload = Buffer.alloc(payloadBytes, 1);
  function* submissions(): Generator<Submission> {
    for (let n = 0; n < count; n++) yield { function: functionName, taskId: `${prefix}_${n}`, payload };
  }
  const startedAt = performance.now();
  for await (const result of client.submitMany(submissions())) if (!result.ok) throw result.error;
  return perSecond(count, startedAt);
}

/** Submits in bulk while they run; tasks per second until the last one is final. */
export async function endToEnd(client: SluiceClient, functionName: string, prefix: string, count: number) {
  const startedAt = performance.now();
  const submitPerSecond = await bulkSubmit(client, functionName, prefix, count);
  await drained(client, functionName);
  return { submitPerSecond, endToEndPerSecond: perSecond(count, startedAt) };
}

/** Resolves when every task of the function is final. */
export async function drained(client: SluiceClient, functionName: string): Promise<void> {
  for (const status of ["Enqueued", "Running", "Retrying"] as const) {
    for (;;) {
      const { tasks } = await client.listPage({ function: functionName, status, pageSize: 1 });
      if (tasks.length === 0) break;
      await pause(20);
    }
  }
}

/** Loops that each await their `client.submit`, which shares messages between them. */
export function singleSubmits(client: SluiceClient, functionName: string, loops: number, count: number) {
  const payload = Buffer.alloc(payloadBytes, 1);
  return inLoops(loops, count, (n) => client.submit({ function: functionName, taskId: `single_${n}`, payload }));
}

/** Loops that each await a call of their own. */
export async function unarySubmits(
  { address, headers }: { readonly address: string; readonly headers: Readonly<Record<string, string>> },
  functionName: string,
  loops: number,
  count: number,
): Promise<number> {
  const { api, close } = apiClient(TaskServiceService, address, { headers });
  const payload = Buffer.alloc(payloadBytes, 1);
  const rest = { payload, priority: Priority.UNSPECIFIED, delayMs: 0, expiresAfterMs: 0, tags: [] };
  const { signal } = new AbortController();
  try {
    return await inLoops(loops, count, (n) =>
      api.submitTask(
        { task: { function: functionName, taskId: `unary_${n}`, submissionToken: `unary_${n}`, ...rest } },
        { signal, headers: {} },
      ),
    );
  } finally {
    close();
  }
}

/** From just before `submit` until the handler starts, at a steady rate, in ms. */
export async function startLatency(client: SluiceClient, functionName: string, ratePerSecond: number, count: number) {
  const firstAt = performance.now();
  const measured = await Promise.all(
    Array.from({ length: count }, async (_, n) => {
      await pause(firstAt + (n * 1_000) / ratePerSecond - performance.now());
      const submittedAt = performance.timeOrigin + performance.now();
      const { taskId } = await client.submit({ function: functionName });
      const task = await client.wait(functionName, taskId);
      return (
        Number(
          Buffer.from(task.result ?? [])
            .toString("utf8")
            .replaceAll('"', ""),
        ) - submittedAt
      );
    }),
  );
  measured.sort((a, b) => a - b);
  const at = (ratio: number) => measured[Math.min(measured.length - 1, Math.floor(measured.length * ratio))] ?? 0;
  return { p50: round(at(0.5)), p99: round(at(0.99)) };
}

async function inLoops(loops: number, count: number, submit: (n: number) => Promise<unknown>): Promise<number> {
  let next = 0;
  const startedAt = performance.now();
  await Promise.all(
    Array.from({ length: loops }, async () => {
      while (next < count) await submit(next++);
    }),
  );
  return perSecond(count, startedAt);
}

function perSecond(count: number, startedAt: number): number {
  return Math.round((count * 1_000) / (performance.now() - startedAt));
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)));
}
