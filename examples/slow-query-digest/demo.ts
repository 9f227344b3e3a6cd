// `npm run demo`: digests the recorded log on a Sluice of its own, in a temporary folder.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, isFinal, type SluiceClient, type Submission, type Task, text } from "@sluice/client";
import { Presets, SingleBar } from "cli-progress";
import Table from "cli-table3";
import { ZipFile } from "yazl";
import { type Digest, type HeavyStatement, heaviest, mergeDigests } from "./merge.ts";
import { slices } from "./slices.ts";
import { type StageLatency, stageLatencies } from "./stages.ts";

const functionName = "slow_query_digest";
const root = join(import.meta.dirname, "../..");

await main();

async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-demo-"));
  const stopped = new AbortController();
  process.once("SIGINT", () => stopped.abort(new Error("interrupted")));
  try {
    console.log("starting Sluice on free ports …");
    await using server = await startStandalone(folder, stopped.signal);
    await using client = connect(server.profile);
    process.exitCode = await digest(client, stopped.signal);
  } catch (cause) {
    console.error(`demo: ${cause instanceof Error ? cause.message : String(cause)}`);
    process.exitCode = stopped.signal.aborted ? 130 : 1;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Returns the exit code. */
async function digest(client: SluiceClient, signal: AbortSignal): Promise<number> {
  const settings = { runtime: "python3", handler: "index.handler", timeoutMs: 60_000, instancesMax: 4 };
  await client.functions.deploy({ name: functionName, settings, codeZip: await zipOfFunction() }, { signal });
  const payloads = slices();
  console.log(`deployed ${functionName}; submitting ${payloads.length} slices of a PostgreSQL log`);

  const bar = new SingleBar(
    { format: "  {bar} {value}/{total} slices digested", noTTYOutput: false, hideCursor: true },
    Presets.shades_classic,
  );
  bar.start(payloads.length, 0);
  let tasks: Task[];
  try {
    const submissions = payloads.map(
      (payload, index): Submission => ({ function: functionName, taskId: `slice-${index}`, payload }),
    );
    const waits: Promise<Task>[] = [];
    for await (const result of client.submitMany(submissions, { signal })) {
      if (!result.ok) throw result.error;
      waits.push(waitFor(client, result.taskId, signal, () => bar.increment()));
    }
    tasks = await Promise.all(waits);
  } finally {
    bar.stop();
  }
  return report(tasks);
}

async function waitFor(client: SluiceClient, taskId: string, signal: AbortSignal, onEnd: () => void): Promise<Task> {
  const task = await client.wait(functionName, taskId, { signal });
  onEnd();
  return task;
}

function report(tasks: readonly Task[]): number {
  const succeeded = tasks.filter(({ status }) => status === "Succeeded");
  const merged = mergeDigests(succeeded.map((task) => JSON.parse(text(task.result)) as Digest));
  console.log(`\nThe ten heaviest of ${merged.statements.length} statements in ${merged.entries} log entries:\n`);
  console.log(statementTable(heaviest(merged, 10)));
  console.log("\nWhere the time of a task goes:\n");
  console.log(stageTable(stageLatencies(tasks)));
  for (const task of tasks.filter((ended) => ended.status !== "Succeeded").slice(0, 3)) {
    console.log(`${task.taskId}: ${task.status}${isFinal(task) ? "" : " (not final)"}: ${task.error?.message ?? ""}`);
  }
  const failed = tasks.length - succeeded.length;
  console.log(`\ndemo: ${tasks.length} submitted, ${succeeded.length} succeeded, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

function statementTable(statements: readonly HeavyStatement[]): string {
  const table = new Table({
    head: ["total ms", "share", "calls", "mean ms", "p95 ms", "max ms", "statement"],
    colAligns: ["right", "right", "right", "right", "right", "right", "left"],
    style: { head: [], border: [], compact: true },
  });
  for (const { totalMs, share, calls, meanMs, p95Ms, maxMs, statement } of statements) {
    const shown = statement.length > 60 ? `${statement.slice(0, 59)}…` : statement;
    table.push([
      totalMs.toFixed(0),
      `${(share * 100).toFixed(1)} %`,
      calls,
      meanMs.toFixed(2),
      p95Ms.toFixed(2),
      maxMs.toFixed(1),
      shown,
    ]);
  }
  return table.toString();
}

function stageTable(latencies: readonly StageLatency[]): string {
  const table = new Table({
    head: ["stage", "p50 ms", "p95 ms", "p99 ms"],
    colAligns: ["left", "right", "right", "right"],
    style: { head: [], border: [], compact: true },
  });
  for (const { stage, p50, p95, p99 } of latencies) table.push([stage, p50, p95, p99]);
  return table.toString();
}

/** Only the handler: the tests beside it are not its code. */
async function zipOfFunction(): Promise<Buffer> {
  const zip = new ZipFile();
  zip.addBuffer(readFileSync(join(import.meta.dirname, "function/index.py")), "index.py", {
    mtime: new Date(2026, 0, 1),
  });
  zip.end();
  const chunks: Buffer[] = [];
  for await (const chunk of zip.outputStream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

interface RunningServer extends AsyncDisposable {
  readonly profile: { readonly address: string; readonly accessKeyId: string; readonly accessKeySecret: string };
}

/** Starts `npm start` on free ports and waits until it is ready, which is when it has written its client profile. */
async function startStandalone(folder: string, signal: AbortSignal): Promise<RunningServer> {
  const flags = ["--grpc-port", "0", "--http-port", "0", "--fc-address", "none", "--data-dir", folder];
  const main = join(root, "packages/standalone/src/main.ts");
  const child = spawn(process.execPath, ["--import", "tsx", main, ...flags], {
    cwd: root,
    stdio: ["ignore", "pipe", "inherit"],
    // A Ctrl-C reaches the whole terminal; this process ends the server itself, in order.
    detached: true,
  });
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
    await exited;
  };
  signal.addEventListener("abort", () => child.kill("SIGTERM"), { once: true });
  const isReady = await Promise.race([readyLine(child.stdout), exited.then(() => false)]);
  if (!isReady) {
    await stop();
    throw new Error("Sluice did not start; its messages are above");
  }
  child.stdout.resume();
  const profile = JSON.parse(await readFile(join(folder, "client.json"), "utf8")) as RunningServer["profile"];
  return { profile, [Symbol.asyncDispose]: stop };
}

async function readyLine(stdout: NodeJS.ReadableStream): Promise<boolean> {
  return await new Promise((resolve) => {
    let seen = "";
    stdout.on("data", (chunk: Buffer) => {
      seen += chunk.toString("utf8");
      if (seen.includes("ready")) resolve(true);
    });
    stdout.once("end", () => resolve(false));
  });
}
