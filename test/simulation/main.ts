// npm run sim -- --seed N | --seeds N [--from N] [--minutes M] [--control NAME] [--verbose]
import { Command, InvalidArgumentError, Option } from "commander";
import { type Control, controls } from "./controls.ts";
import { counterNames } from "./counters.ts";
import { type Outcome, openStoreOfRuns, simulate } from "./simulate.ts";

interface Options {
  readonly seed?: number;
  readonly seeds?: number;
  readonly from: number;
  readonly minutes: number;
  readonly control?: Control;
  readonly about?: number;
  readonly trace?: number;
}

const program = new Command("sim")
  .description("Runs the whole cluster on a fake clock, with faults chosen by a seed, and checks the invariants")
  .option("--seed <n>", "one seed", number)
  .option("--seeds <n>", "so many seeds", number)
  .option("--from <n>", "the first of them", number, 1)
  .option("--minutes <m>", "virtual minutes with faults", decimal, 0.5)
  .addOption(new Option("--control <name>", "switch a protection off").choices(Object.keys(controls)))
  .option("--about <task>", "print the trace of one task, by number", number)
  .option("--trace <lines>", "print the end of the trace", number)
  .parse();
const options = program.opts<Options>();
const seeds =
  options.seed !== undefined
    ? [options.seed]
    : Array.from({ length: options.seeds ?? 1 }, (_, index) => options.from + index);

await using store = await openStoreOfRuns();
const sums = Object.fromEntries(counterNames.map((name) => [name, 0]));
let failed = 0;
const startedAt = performance.now();
for (const seed of seeds) {
  const before = performance.now();
  const { minutes, control } = options;
  const outcome = await simulate(store, { seed, minutes, ...(control && { control }) });
  print(outcome, performance.now() - before);
  for (const name of counterNames) sums[name] = (sums[name] ?? 0) + outcome.counters[name];
  if (outcome.violations.length > 0) failed++;
}
const seconds = (performance.now() - startedAt) / 1_000;
if (seeds.length > 1) {
  console.log(`\n${seeds.length} seeds, ${failed} failed, ${(seeds.length / seconds).toFixed(2)} seeds/s`);
}
if (seeds.length > 1 || options.seed !== undefined) {
  for (const name of counterNames) console.log(`${String(sums[name]).padStart(8)}  ${name}`);
}
process.exitCode = failed > 0 ? 1 : 0;

function print(outcome: Outcome, ms: number): void {
  const { seed, traceHash, violations, facts } = outcome;
  const verdict = violations.length === 0 ? "ok" : `${violations.length} VIOLATIONS`;
  const virtual = (facts.endedAtMs / 1_000).toFixed(0);
  console.log(
    `seed ${seed}  ${traceHash}  ${verdict}  ${facts.tasks} tasks  ${facts.executions} runs  ${virtual} s in ${(ms / 1_000).toFixed(2)} s`,
  );
  if (options.seed !== undefined) console.log(`  ${outcome.plan}`);
  for (const { invariant, message } of violations.slice(0, 10)) console.log(`  ${invariant}: ${message}`);
  const [first] = violations;
  const about = options.about ?? first?.seq;
  if (about !== undefined && (violations.length > 0 || options.about !== undefined)) {
    for (const line of outcome.about(about)) console.log(`    ${line}`);
  }
  if (options.trace !== undefined) for (const line of outcome.last(options.trace)) console.log(`    ${line}`);
  if (violations.length > 0) {
    const flags = [`--seed ${seed}`, `--minutes ${options.minutes}`, options.control && `--control ${options.control}`];
    console.log(`  replay: npm run sim -- ${flags.filter(Boolean).join(" ")}`);
  }
}

function number(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError("not a whole number");
  return Number(text);
}

function decimal(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError("not a positive number");
  return value;
}
