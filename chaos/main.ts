// npm run chaos -- [--scenario NAME]... [--all] [--fast] [--random --minutes M] [--seed N] [--repeat N] [--profile P] [--list]
import { execFileSync } from "node:child_process";
import { setMaxListeners } from "node:events";
import { cpus } from "node:os";
import { join } from "node:path";
import { seededRandom } from "@sluice/core/testing";
import { untilSignal } from "@sluice/runtime";
import { Command, InvalidArgumentError, Option } from "commander";
import type { RunResult, Scenario } from "./contract.ts";
import { tableOf, writeReport } from "./report/index.ts";
import { runScenarios } from "./run.ts";
import { countsOf, progressOn } from "./run-progress.ts";
import { realHarness } from "./run-real.ts";
import { randomFaults, scenarios } from "./scenarios/index.ts";
import { brisk } from "./scenarios/workloads.ts";

interface Options {
  readonly scenario: readonly string[];
  readonly all: boolean;
  readonly fast: boolean;
  readonly random: boolean;
  readonly minutes: number;
  readonly seed: number;
  readonly repeat: number;
  readonly profile?: "default" | "fast";
  readonly quick: boolean;
  readonly out: string;
  readonly list: boolean;
}

const program = new Command("chaos")
  .description("Breaks a cluster of real processes under load, and checks what clients and handlers saw of it")
  .option(
    "--scenario <name>",
    "this scenario; may be given several times",
    (name, names: string[]) => [...names, name],
    [],
  )
  .option("--all", "every scenario", false)
  .option("--fast", "those that run in CI", false)
  .option("--random", "faults by chance, several at once", false)
  .option("--minutes <m>", "with --random: for how long", positiveNumber, 5)
  .option("--seed <n>", "of the workload, and of every choice", wholeNumber, 1)
  .option("--repeat <n>", "how often a scenario that can repeat its fault does", wholeNumber, 1)
  .addOption(
    new Option("--profile <p>", "leases of schedulers, instead of the scenario's").choices(["default", "fast"]),
  )
  .option("--quick", "long tasks last 8 to 15 s instead of 30 to 120 s", false)
  .option("--out <folder>", "for the report", join(".sluice", "chaos"))
  .option("--list", "names of all scenarios", false)
  .addHelpText("after", () => `\nScenarios (* in CI):\n${listText()}`)
  .parse();
const options = program.opts<Options>();
setMaxListeners(0);

const wanted = choose(options);
if (options.list) console.log(listText());
else if (wanted.length === 0) program.help();
else process.exitCode = await run(wanted);
// Connections of drivers that wait for what is gone would keep the process.
process.exit();

async function run(scenariosOfRun: readonly Scenario[]): Promise<number> {
  const { seed, repeat, profile, out } = options;
  let results: RunResult[] = [];
  let wasInterrupted = false;
  await untilSignal(async (signal) => {
    results = await runScenarios(realHarness, {
      scenarios: scenariosOfRun,
      seed,
      repeat,
      profile,
      random: seededRandom(seed),
      conditions: conditions(),
      signal,
      on: progressOn(console.log, { count: scenariosOfRun.length }),
    });
    wasInterrupted = signal.aborted;
  });
  if (results.length > 0) {
    const { html, json } = await writeReport(results, out);
    console.log(`\n${tableOf(results)}\n${countsOf(results)}\n\n${html}\n${json}`);
  }
  return wasInterrupted || results.some(({ passed, notRun }) => !passed && notRun === undefined) ? 1 : 0;
}

function choose({ scenario, all, fast, random, minutes, quick }: Options): Scenario[] {
  const known = new Map(scenarios.map((each) => [each.name, each]));
  const unknown = scenario.filter((name) => !known.has(name));
  if (unknown.length > 0) program.error(`no scenario is called ${unknown.join(", ")}; --list names them all`);
  const named = scenarios.filter(({ name, isFast }) => all || (fast && isFast) || scenario.includes(name));
  const chosen = random ? [...named, randomFaults(minutes * 60_000)] : named;
  return quick ? chosen.map((each) => ({ ...each, workload: { ...each.workload, ...brisk } })) : chosen;
}

/** What a figure depends on. */
function conditions(): RunResult["conditions"] {
  const git = (...args: string[]) => execFileSync("git", args, { encoding: "utf8" }).trim();
  const [cpu] = cpus();
  return {
    commit: `${git("rev-parse", "--short", "HEAD")}${git("status", "--porcelain") === "" ? "" : " and changes"}`,
    node: process.version,
    cpus: `${cpus().length} × ${cpu?.model ?? "unknown"}`,
  };
}

function listText(): string {
  const width = Math.max(...scenarios.map(({ name }) => name.length));
  return scenarios
    .map(({ name, about, isFast }) => `  ${isFast ? "*" : " "} ${name.padEnd(width)}  ${about}`)
    .join("\n");
}

function wholeNumber(text: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw new InvalidArgumentError("not a whole number above 0");
  return Number(text);
}

function positiveNumber(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError("not a number above 0");
  return value;
}
