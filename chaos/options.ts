// The command line: `npm run chaos -- …`
import { join } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import type { LeaseProfile } from "./contract.ts";

export interface Options {
  readonly scenario: readonly string[];
  readonly all: boolean;
  readonly fast: boolean;
  readonly random: boolean;
  readonly minutes: number;
  readonly seed: number;
  readonly repeat: number;
  readonly profile?: LeaseProfile;
  readonly quick: boolean;
  readonly aims: boolean;
  readonly out: string;
  readonly list: boolean;
}

export function commandOf(): Command {
  return new Command("chaos")
    .description("Breaks a cluster of real processes under load, and checks what clients and handlers saw of it")
    .option(
      "--scenario <name>",
      "this scenario; may be given several times",
      (name, names: string[]) => [...names, name],
      [],
    )
    .option("--all", "every scenario", false)
    .addOption(new Option("--fast", "those that run in CI, with --quick").default(false).conflicts("all"))
    .addOption(
      new Option("--random", "faults by chance, several at once")
        .default(false)
        .conflicts(["all", "scenario", "repeat"]),
    )
    .option("--minutes <m>", "with --random: for how long", positiveNumber, 5)
    .option("--seed <n>", "of the workload, and of every choice", wholeNumber, 1)
    .option("--repeat <n>", "how often a scenario that can repeat its fault does", wholeNumber, 1)
    .addOption(
      new Option("--profile <p>", "leases of schedulers, instead of the scenario's").choices(["default", "fast"]),
    )
    .option("--quick", "long tasks last 8 to 15 s instead of 30 to 120 s", false)
    .option("--aims", "a run that misses an aim fails; a busy machine says nothing about them", false)
    .option("--out <folder>", "for the report", join(".sluice", "chaos"))
    .option("--list", "names of all scenarios", false);
}

/** Exits with a message when the arguments are wrong. */
export function readOptions(program: Command, argv: readonly string[]): Options {
  const options = program.parse(argv, { from: "user" }).opts<Options>();
  if (!options.random && program.getOptionValueSource("minutes") === "cli") {
    program.error("error: --minutes can only be used with --random");
  }
  return options;
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
