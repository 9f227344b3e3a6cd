// npm run sim -- --seed N | --seeds N …; `--help` lists every option.
import { setMaxListeners } from "node:events";
import { createCounters } from "./counters.ts";
import { readCommandLine } from "./options.ts";
import { createProgress } from "./progress.ts";
import { describeCounters, describeOutcome, describeShrunk } from "./report.ts";
import { Runner } from "./runner.ts";
import { runSeeds } from "./seeds.ts";
import { shrink } from "./shrink.ts";
import { type Outcome, openStoreOfRuns, type SimulateOptions, simulate } from "./simulate.ts";

interface Failure {
  readonly run: SimulateOptions;
  readonly outcome: Outcome;
}

const { runs, isSingle, processes, control, store, shrinkMs, ...shown } = readCommandLine(process.argv.slice(2));
// Dozens of loops wait on one signal.
setMaxListeners(0);
// Whoever reads has seen enough.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));

const failures: Failure[] = [];
const progress = createProgress({ total: runs.length, isShown: !isSingle && process.stdout.isTTY });
const sums = createCounters();
if (isSingle) await runOne();
else await runMany();
const first = failures.sort((a, b) => a.run.seed - b.run.seed)[0];
if (first && shrinkMs > 0) await shrinkFirst(first);
for (const line of describeCounters(sums.values)) console.log(line);
process.exitCode = failures.length > 0 ? 1 : 0;

async function runOne(): Promise<void> {
  const [run] = runs;
  // Protections are taken out of the source while it is loaded: that needs a process of its own.
  if (control !== undefined || !run) return runSeeds({ runs, processes: 1, onOutcome: report, control, store });
  await using storeOfRuns = await openStoreOfRuns(store);
  const startedAt = performance.now();
  report(await simulate(storeOfRuns, run), run, performance.now() - startedAt);
}

async function runMany(): Promise<void> {
  const startedAt = performance.now();
  await runSeeds({ runs, processes, onOutcome: report, control, store });
  progress.stop();
  const seconds = (performance.now() - startedAt) / 1_000;
  console.log(`\n${runs.length} seeds, ${failures.length} failed, ${(runs.length / seconds).toFixed(2)} seeds/s`);
}

function report(outcome: Outcome, run: SimulateOptions, ms: number): void {
  const isFailure = outcome.violations.length > 0;
  if (isFailure) failures.push({ run, outcome });
  sums.addAll(outcome.counters);
  if (isFailure || shown.isVerbose) progress.print(describeOutcome(outcome, run, { ...shown, control }, ms));
  progress.step(failures.length);
}

async function shrinkFirst({ run, outcome }: Failure): Promise<void> {
  console.log(`\nshrinking seed ${run.seed}, for at most ${shrinkMs / 1_000} s`);
  await using runner = new Runner({ control, store });
  const until = performance.now() + shrinkMs;
  const hasTime = () => performance.now() < until;
  const shrunk = await shrink({ run, outcome, simulate: (next) => runner.run(next), hasTime });
  for (const line of describeShrunk(
    shrunk,
    { faults: outcome.faults.length, strikes: outcome.strikes.length },
    control,
  ))
    console.log(line);
}
