// `npm run bench`: what a cluster (or, with --standalone, one process) does, end to end, on this machine. Prints its
// conditions, a table, and as its last line one line of JSON. Figures of a noisy machine vary: run it several times and
// quote medians.
import { cpus, totalmem } from "node:os";
import Table from "cli-table3";
import { Command } from "commander";
import {
  bulkSubmit,
  deploy,
  drained,
  endToEnd,
  payloadBytes,
  singleSubmits,
  startLatency,
  unarySubmits,
} from "./figures.ts";
import { cpuMicrosPerTask, usageOf } from "./processes.ts";
import { clusterTarget, standaloneTarget, type Target } from "./targets.ts";
import { measureWaiting } from "./waiting.ts";

const command = new Command("bench")
  .option("--standalone", "measure one process on the embedded drivers instead of a cluster", false)
  .option("--tasks <n>", "tasks of the end-to-end run", Number, 50_000)
  .option("--seed <n>", "makes the ids of tasks", Number, 1)
  .option("--waiting <n>", "instead: a queue in which so many tasks wait", Number)
  .option("--profile <folder>", "the services of the cluster write CPU profiles there when they end")
  .parse();
const { standalone, tasks, seed, waiting, profile } = command.opts<{
  standalone: boolean;
  tasks: number;
  seed: number;
  waiting?: number;
  profile?: string;
}>();

const instances = 4;
const shared = { name: "noop", concurrency: 10 };
const alone = { name: "noop-alone", concurrency: 1 };
const loops = 64;
const singles = 20_000;
const unaries = 5_000;
const aloneTasks = Math.ceil(tasks / 5);

await using target = await (standalone ? standaloneTarget(instances) : clusterTarget(instances, profile));
const { client } = target;
if (waiting !== undefined) {
  console.log(JSON.stringify(await measureWaiting(target, waiting, instances)));
  await target[Symbol.asyncDispose]();
  process.exit();
}
for (const benchFunction of [shared, alone]) await deploy(client, benchFunction, instances);

// Starts the instances, and gives the store its first pages and the compiler its hot code.
await endToEnd(client, shared.name, `warm${seed}`, Math.ceil(tasks / 5));
const bulk = await withoutAgent(target, async () => bulkSubmit(client, shared.name, `bulk${seed}`, tasks));
await drained(client, shared.name);

const before = usageOf(target.processes());
const run = await endToEnd(client, shared.name, `run${seed}`, tasks);
const after = usageOf(target.processes());
await endToEnd(client, alone.name, `aloneWarm${seed}`, 1_000);
const runAlone = await endToEnd(client, alone.name, `alone${seed}`, aloneTasks);
const single = await singleSubmits(client, shared.name, loops, singles);
await drained(client, shared.name);
const unary = await unarySubmits(target, shared.name, loops, unaries);
await drained(client, shared.name);
const latencyMs = await startLatency(client, shared.name, 50, 500);

const figures = {
  endToEndPerSecond: run.endToEndPerSecond,
  endToEndConcurrency1PerSecond: runAlone.endToEndPerSecond,
  bulkSubmitPerSecond: bulk ?? run.submitPerSecond,
  bulkSubmitWhileRunningPerSecond: run.submitPerSecond,
  singleSubmitPerSecond: single,
  unarySubmitPerSecond: unary,
  latencyMs,
  cpuMicrosPerTask: cpuMicrosPerTask(before, after, tasks),
  rssMb: Object.fromEntries(Object.entries(after).map(([name, { rssMb }]) => [name, rssMb])),
};
print();

/** Runs `work` while no agent takes tasks; undefined where the agent cannot be stopped alone. */
async function withoutAgent<T>({ agent }: Target, work: () => Promise<T>): Promise<T | undefined> {
  if (!agent) return undefined;
  await agent.stop();
  try {
    return await work();
  } finally {
    await agent.start();
  }
}

function print(): void {
  const conditions = [
    `${target.description}; the client runs on the same machine.`,
    `${tasks} no-op tasks of ${payloadBytes} bytes, submitted in bulk while they run; ${instances} Node instances of concurrency ${shared.concurrency}`,
    `(concurrency 1: ${aloneTasks} tasks). Bulk: ${bulk === undefined ? "while they run" : "while no agent runs"}. Single: ${loops} loops awaiting client.submit, ${singles} tasks;`,
    `unary: ${loops} loops, a call each, ${unaries} tasks. Latency: from before submit to the handler's first line, at 50/s, 500 tasks.`,
    `${cpus().length} cores (${cpus()[0]?.model.trim()}), ${Math.round(totalmem() / 2 ** 30)} GiB, ${Object.entries(
      target.versions,
    )
      .map(([name, version]) => `${name} ${version}`)
      .join(", ")}.`,
  ];
  console.log(conditions.join("\n"));
  const table = new Table({ head: ["figure", "value"], style: { head: [], border: [] } });
  const { cpuMicrosPerTask: cpu, rssMb, latencyMs: latency, ...rates } = figures;
  for (const [name, value] of Object.entries(rates)) table.push([name, value]);
  table.push(["latencyMs", `p50 ${latency.p50}, p99 ${latency.p99}`]);
  for (const [name, micros] of Object.entries(cpu)) table.push([`${name}`, `${micros} µs CPU/task, ${rssMb[name]} MB`]);
  table.push(["all processes", `${Object.values(cpu).reduce((sum, micros) => sum + micros, 0)} µs CPU/task`]);
  console.log(table.toString());
  console.log(JSON.stringify({ ...figures, tasks, seed, cores: cpus().length, versions: target.versions }));
}
