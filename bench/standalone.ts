// `npm run bench`: what one standalone process does, end to end. Prints its conditions, a table, and one line of JSON.
// Figures of a noisy machine vary: run it several times and quote medians.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import type { SluiceClient, Submission } from "@sluice/client";
import Table from "cli-table3";
import { functionZip } from "../test/integration/function-zip.ts";
import { startStandalone } from "../test/integration/standalone-process.ts";

const taskCount = Number(process.argv[2] ?? 20_000);
const functionName = "noop";
const handler = "exports.handler = async () => 'ok';";
const payload = Buffer.alloc(256, 1);

const folder = mkdtempSync(join(tmpdir(), "sluice-bench-"));
try {
  await using server = await startStandalone(folder, ["--instances-max", "4", "--slots", "80"]);
  await using client = server.client();
  const settings = { runtime: "nodejs20", handler: "index.handler", instanceConcurrency: 10, instancesMax: 4 };
  await client.functions.deploy({ name: functionName, settings, codeZip: await functionZip({ "index.js": handler }) });
  // Starts the instances, and gives the store its first pages.
  await endToEnd(client, "warm", 2_000);
  const cpuBefore = cpuSeconds(server.pid);
  const run = await endToEnd(client, "run", taskCount);
  const cpuUsed = cpuSeconds(server.pid) - cpuBefore;
  const single = await singleSubmits(client, 5_000);
  const latencies = await latency(client, 200);
  const figures = {
    endToEndPerSecond: Math.round(run.endToEndPerSecond),
    bulkSubmitPerSecond: Math.round(run.submitPerSecond),
    singleSubmitPerSecond: Math.round(single),
    startLatencyMs: latencies,
    serverCpuMicrosPerTask: Math.round((cpuUsed / taskCount) * 1e6),
    serverRssMb: rssMb(server.pid),
    readyAfterMs: Math.round(server.readyAfterMs),
  };
  console.log(
    `${taskCount} no-op tasks of 256 bytes, 4 Node instances of concurrency 10, ${cpus().length} cores, Node ${process.version};`,
  );
  console.log("the client runs on the same machine; the first start of an empty folder is in readyAfterMs.");
  const table = new Table({ head: ["figure", "value"], style: { head: [], border: [] } });
  for (const [name, value] of Object.entries(figures))
    table.push([name, typeof value === "object" ? JSON.stringify(value) : value]);
  console.log(table.toString());
  console.log(JSON.stringify({ ...figures, taskCount, node: process.version, cores: cpus().length }));
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** Submits in bulk and waits until the last task is final. */
async function endToEnd(client: SluiceClient, prefix: string, count: number) {
  const startedAt = performance.now();
  await submitAll(client, prefix, count);
  const submittedAt = performance.now();
  for (;;) {
    const waiting = await Promise.all(
      (["Enqueued", "Running", "Retrying"] as const).map((status) =>
        client.listPage({ function: functionName, status, pageSize: 1 }),
      ),
    );
    if (waiting.every(({ tasks }) => tasks.length === 0)) break;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return {
    submitPerSecond: count / ((submittedAt - startedAt) / 1_000),
    endToEndPerSecond: count / ((performance.now() - startedAt) / 1_000),
  };
}

async function submitAll(client: SluiceClient, prefix: string, count: number): Promise<void> {
  function* submissions(): Generator<Submission> {
    for (let n = 0; n < count; n++) yield { function: functionName, taskId: `${prefix}_${n}`, payload };
  }
  for await (const result of client.submitMany(submissions())) if (!result.ok) throw result.error;
}

/** 64 loops that each await their submission. */
async function singleSubmits(client: SluiceClient, count: number): Promise<number> {
  let next = 0;
  const startedAt = performance.now();
  await Promise.all(
    Array.from({ length: 64 }, async () => {
      while (next < count) await client.submit({ function: functionName, taskId: `single_${next++}`, payload });
    }),
  );
  return count / ((performance.now() - startedAt) / 1_000);
}

/** From the acceptance of a task to the start of its handler, on an otherwise idle server. */
async function latency(client: SluiceClient, count: number): Promise<{ p50: number; p99: number }> {
  await client.wait(functionName, (await client.submit({ function: functionName })).taskId);
  const measured: number[] = [];
  for (let n = 0; n < count; n++) {
    const { taskId } = await client.submit({ function: functionName });
    const task = await client.wait(functionName, taskId);
    if (task.startedAtMs !== undefined) measured.push(task.startedAtMs - task.enqueuedAtMs);
  }
  measured.sort((a, b) => a - b);
  const at = (ratio: number) => measured[Math.min(measured.length - 1, Math.floor(measured.length * ratio))] ?? 0;
  return { p50: at(0.5), p99: at(0.99) };
}

function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  const ticks = Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));
  return (Number(fields[11]) + Number(fields[12])) / ticks;
}

function rssMb(pid: number): number {
  const kb = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0;
  return Math.round(Number(kb) / 1024);
}
