// The command line: `npm run sim -- --seed N | --seeds N …`
import { availableParallelism } from "node:os";
import { Command, InvalidArgumentError, Option } from "commander";
import { optionsOf, switches } from "../mutations/index.ts";
import { type FaultName, faultKinds, rateNames } from "./faults.ts";
import { type SimulateOptions, type StoreKind, storeKinds } from "./simulate.ts";

export interface CommandLine {
  /** In this order. */
  readonly runs: readonly SimulateOptions[];
  /** One seed, looked at closely. */
  readonly isSingle: boolean;
  readonly processes: number;
  readonly control: string | undefined;
  readonly store: StoreKind;
  readonly about: number | undefined;
  readonly traceLines: number;
  readonly isVerbose: boolean;
  /** For so long the first failure is shrunk, in ms; 0: not at all. */
  readonly shrinkMs: number;
}

interface Flags {
  readonly seed?: number;
  readonly seeds: number;
  readonly from: number;
  readonly minutes?: number;
  readonly processes: number;
  readonly control?: string;
  readonly store: StoreKind;
  readonly about?: number;
  readonly trace: number;
  readonly verbose: boolean;
  readonly shrink?: boolean;
  readonly withoutFaults?: readonly FaultName[];
  readonly onlyStrikes?: readonly number[];
}

const shrinkManyMs = 60_000;
const shrinkOneMs = 600_000;
/** Mean something for a single seed only. */
const closeLooks = ["about", "trace", "withoutFaults", "onlyStrikes"] as const;

/** Exits with a message when the arguments are wrong. */
export function readCommandLine(argv: readonly string[]): CommandLine {
  const program = commandOf().parse(argv, { from: "user" });
  const flags = program.opts<Flags>();
  const { seed, control, withoutFaults, onlyStrikes } = flags;
  const isGiven = (name: string) => program.getOptionValueSource(name) === "cli";
  const lost = closeLooks.filter((name) => seed === undefined && isGiven(name));
  if (lost.length > 0) program.error(`error: ${lost.map(flagOf).join(", ")} can only be used with --seed`);
  const proof = switches.find(({ name }) => name === control)?.proof;
  const shared = {
    ...(proof && optionsOf(proof)),
    minutes: flags.minutes ?? (control === undefined ? 1 : (proof?.minutes ?? 0.5)),
  };
  const close = { ...(withoutFaults && { without: withoutFaults }), ...(onlyStrikes && { onlyStrikes }) };
  const many = () => Array.from({ length: flags.seeds }, (_, index) => ({ ...shared, seed: flags.from + index }));
  return {
    runs: seed === undefined ? many() : [{ ...shared, ...close, seed }],
    isSingle: seed !== undefined,
    processes: flags.processes,
    control,
    store: flags.store,
    about: flags.about,
    traceLines: flags.trace,
    isVerbose: flags.verbose || seed !== undefined,
    shrinkMs: shrinkMsOf(flags),
  };
}

function shrinkMsOf({ seed, shrink }: Flags): number {
  if (seed === undefined) return shrink === false ? 0 : shrinkManyMs;
  return shrink ? shrinkOneMs : 0;
}

function commandOf(): Command {
  return new Command("sim")
    .description("Runs the whole cluster on a fake clock, with faults chosen by a seed, and checks the invariants")
    .addOption(new Option("--seed <n>", "one seed").argParser(wholeNumber).conflicts(["seeds", "from", "processes"]))
    .option("--seeds <n>", "so many seeds", positiveWholeNumber, 50)
    .option("--from <n>", "the first of them", wholeNumber, 1)
    .option("--minutes <m>", "virtual minutes with faults (default: 1, or as the control needs)", positiveNumber)
    .option("--processes <n>", "processes", positiveWholeNumber, availableParallelism())
    .addOption(new Option("--control <name>", "without a protection").choices(switches.map(({ name }) => name)))
    .addOption(
      new Option("--store <kind>", "in memory, or the real SQL; the runs are the same")
        .choices(storeKinds)
        .default("model"),
    )
    .option("--about <task>", "with --seed: the trace of one task, by number", wholeNumber)
    .option("--trace <lines>", "with --seed: the end of the trace", wholeNumber, 0)
    .option("--verbose", "also seeds that break nothing", false)
    .option("--shrink", "look for fewer faults that break the same invariant (default for the first of many seeds)")
    .option("--no-shrink", "do not")
    .option("--without-faults <names>", "with --seed: faults of its plan that are left out", faultNames)
    .option("--only-strikes <numbers>", "with --seed: the strikes that have an effect, or none", strikeNumbers)
    .showHelpAfterError("(--help lists every option)");
}

/** The options of one run, to be run again. */
export function flagsOf(run: SimulateOptions, control: string | undefined): string {
  const { seed, minutes = 0.5, without = [], onlyStrikes } = run;
  const flags = [`--seed ${seed}`, `--minutes ${minutes}`];
  if (control !== undefined) flags.push(`--control ${control}`);
  if (without.length > 0) flags.push(`--without-faults "${without.join(",")}"`);
  if (onlyStrikes) flags.push(`--only-strikes ${onlyStrikes.length > 0 ? onlyStrikes.join(",") : "none"}`);
  return flags.join(" ");
}

function flagOf(name: string): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

function wholeNumber(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError("It is not a whole number.");
  return Number(text);
}

function positiveWholeNumber(text: string): number {
  const value = wholeNumber(text);
  if (value === 0) throw new InvalidArgumentError("It must be at least 1.");
  return value;
}

function positiveNumber(text: string): number {
  const value = Number(text);
  if (!(value > 0 && Number.isFinite(value))) throw new InvalidArgumentError("It is not a positive number.");
  return value;
}

function faultNames(text: string): FaultName[] {
  const all: readonly string[] = [...faultKinds, ...rateNames];
  const names = text.split(",").map((name) => name.trim());
  const unknown = names.filter((name) => !all.includes(name));
  if (unknown.length > 0)
    throw new InvalidArgumentError(`No fault is called "${unknown.join('", "')}". They are: ${all.join(", ")}.`);
  return names as FaultName[];
}

function strikeNumbers(text: string): number[] {
  return text === "none" ? [] : text.split(",").map((number) => wholeNumber(number.trim()));
}
