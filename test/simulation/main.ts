// npm run sim -- --seed N | --seeds N [--from N] [--minutes M] [--processes N] [--control NAME]
import { setMaxListeners } from "node:events";
import { Command, InvalidArgumentError, Option } from "commander";
import { mutations } from "../mutations/index.ts";
import { createCounters } from "./counters.ts";
import { describeCounters, describeOutcome } from "./report.ts";
import { runSeeds } from "./seeds.ts";
import { type Outcome, openStoreOfRuns, type SimulateOptions, simulate } from "./simulate.ts";

interface Options {
  readonly seed?: number;
  readonly seeds: number;
  readonly from: number;
  readonly minutes: number;
  readonly processes: number;
  readonly control?: string;
  readonly about?: number;
  readonly trace: number;
}

const program = new Command("sim")
  .description("Runs the whole cluster on a fake clock, with faults chosen by a seed, and checks the invariants")
  .option("--seed <n>", "one seed", wholeNumber)
  .option("--seeds <n>", "so many seeds", wholeNumber, 50)
  .option("--from <n>", "the first of them", wholeNumber, 1)
  .option("--minutes <m>", "virtual minutes with faults", positiveNumber, 0.5)
  .option("--processes <n>", "processes; each takes 0.7 GB", wholeNumber, 2)
  .addOption(new Option("--control <name>", "without a protection").choices(mutations.map(({ name }) => name)))
  .option("--about <task>", "with --seed: the trace of one task, by number", wholeNumber)
  .option("--trace <lines>", "with --seed: the end of the trace", wholeNumber, 0)
  .parse();
const options = program.opts<Options>();
const { seed, minutes, control } = options;
const proof = mutations.find(({ name }) => name === control)?.proof;
const optionsOf = (of: number): SimulateOptions => ({ ...proof, minutes, seed: of });
// Dozens of loops wait on one signal.
setMaxListeners(0);

let failed = 0;
const sums = createCounters();
if (seed !== undefined) await runOne(optionsOf(seed));
else await runMany(Array.from({ length: options.seeds }, (_, index) => optionsOf(options.from + index)));
for (const line of describeCounters(sums.values)) console.log(line);
process.exitCode = failed > 0 ? 1 : 0;

async function runOne(run: SimulateOptions): Promise<void> {
  // Protections are taken out of the source while it is loaded: that needs a process of its own.
  if (control !== undefined) return runSeeds({ runs: [run], processes: 1, onOutcome: report, control });
  await using store = await openStoreOfRuns();
  const startedAt = performance.now();
  report(await simulate(store, run), run, performance.now() - startedAt);
}

async function runMany(runs: readonly SimulateOptions[]): Promise<void> {
  const startedAt = performance.now();
  await runSeeds({ runs, processes: options.processes, onOutcome: report, control });
  const seconds = (performance.now() - startedAt) / 1_000;
  console.log(`\n${runs.length} seeds, ${failed} failed, ${(runs.length / seconds).toFixed(2)} seeds/s`);
}

function report(outcome: Outcome, run: SimulateOptions, ms: number): void {
  if (outcome.violations.length > 0) failed++;
  sums.addAll(outcome.counters);
  const shown = { isVerbose: seed !== undefined, about: options.about, traceLines: options.trace, control };
  for (const line of describeOutcome(outcome, run, shown, ms)) console.log(line);
}

function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError("not a whole number");
  return Number(text);
}

function positiveNumber(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError("not a positive number");
  return value;
}
