// `npm run drill:upgrade`: a cluster of the version before this one under load, of which every service is replaced by this
// version, one by one, and back again. Prints what that did to the tasks, and ends with 1 if a promise was broken.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { AppError } from "@sluice/core";
import { silenceTransport } from "@sluice/protocol";
import { untilSignal } from "@sluice/runtime";
import { Command, InvalidArgumentError, Option } from "commander";
import { interruptWhenUnread } from "../chaos/run-unread.ts";
import { type DrillOptions, drill } from "./drill.ts";
import { tableOf } from "./table.ts";

const command = new Command("drill:upgrade")
  .option(
    "--from <ref>",
    "the old version: a tag or a commit (default: the last tag, or the last commit with other code)",
  )
  .option("--minutes-long <n>", "how long the longest tasks run, in minutes", positive, 2)
  .addOption(
    new Option("--fast", "tasks of seconds and agents that drain for two: to see that it works")
      .default(false)
      .conflicts("minutesLong"),
  )
  .option("--rate <n>", "submissions per second", positive, 40)
  .option("--seed <n>", "makes the tasks", wholeNumber, 1)
  .option("--out <folder>", "where to write the figures as JSON, and the services' logs")
  .parse();
const { from, minutesLong, fast, rate, seed, out } = command.opts<{
  from?: string;
  minutesLong: number;
  fast: boolean;
  rate: number;
  seed: number;
  out?: string;
}>();

silenceTransport();
interruptWhenUnread();
const startedAt = performance.now();
const say = (line: string) =>
  console.log(`${((performance.now() - startedAt) / 1_000).toFixed(1).padStart(7)} s  ${line}`);
try {
  await untilSignal(async (signal) => {
    const longMs = minutesLong * 60_000;
    const pace: Pick<DrillOptions, "longMs" | "drainMs"> = fast
      ? { longMs: [4_000, 10_000], drainMs: 2_000 }
      : { longMs: [longMs / 4, longMs], drainMs: 10_000 };
    const { verdict, conditions } = await drill({
      from,
      rate,
      seed,
      ...pace,
      logsTo: out && join(out, "logs"),
      say,
      signal,
    });
    console.log(`\n${tableOf(verdict)}`);
    if (out !== undefined) {
      mkdirSync(out, { recursive: true });
      const file = join(out, "upgrade.json");
      writeFileSync(file, `${JSON.stringify({ conditions, ...verdict }, null, 2)}\n`);
      console.log(`The figures are in ${file}.`);
    }
    if (verdict.broken.length > 0) process.exitCode = 1;
  });
} catch (cause) {
  if (cause instanceof DOMException && cause.name === "AbortError") process.exitCode = 130;
  else {
    if (!(cause instanceof AppError)) throw cause;
    console.error(`drill:upgrade: ${cause.message}`);
    process.exitCode = 1;
  }
}

function wholeNumber(text: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw new InvalidArgumentError("must be a whole number above 0");
  return Number(text);
}

function positive(text: string): number {
  const number = Number(text);
  if (!(number > 0)) throw new InvalidArgumentError("must be a number above 0");
  return number;
}
