// npm run chaos -- --all | --scenario NAME … | --random --minutes M …; `--help` lists every option.
import { setMaxListeners } from "node:events";
import { cpus } from "node:os";
import { join } from "node:path";
import { seededRandom } from "@sluice/core/testing";
import { untilSignal } from "@sluice/runtime";
import { git } from "../drill/git.ts";
import { choose } from "./choose.ts";
import type { RunResult, Scenario } from "./contract.ts";
import { keepIn } from "./evidence/keep.ts";
import { commandOf, readOptions } from "./options.ts";
import { tableOf, writeReport } from "./report/index.ts";
import { runScenarios } from "./run.ts";
import { exitCodeOf } from "./run-end.ts";
import { progressOn } from "./run-progress.ts";
import { realHarness } from "./run-real.ts";
import { interruptWhenUnread } from "./run-unread.ts";
import { scenarios } from "./scenarios/index.ts";

const program = commandOf().addHelpText("after", () => `\nScenarios (* in CI):\n${listText()}`);
const options = readOptions(program, process.argv.slice(2));
setMaxListeners(0);
interruptWhenUnread();

const { chosen: wanted, unknown } = choose(options);
if (unknown.length > 0) program.error(`no scenario is called ${unknown.join(", ")}; --list names them all`);
if (options.list) console.log(listText());
else if (wanted.length === 0) program.help();
else process.exitCode = await run(wanted);
// Connections of drivers that wait for what is gone would keep the process.
process.exit();

async function run(scenariosOfRun: readonly Scenario[]): Promise<number> {
  const { seed, repeat, profile, aims, out } = options;
  const conditions = await conditionsHere();
  let results: RunResult[] = [];
  let wasInterrupted = false;
  const harness = { ...realHarness, keep: keepIn(out) };
  await untilSignal(async (signal) => {
    results = await runScenarios(harness, {
      scenarios: scenariosOfRun,
      seed,
      repeat,
      profile,
      mustMeetAims: aims,
      random: seededRandom(seed),
      conditions,
      signal,
      on: progressOn(console.log, { count: scenariosOfRun.length }),
    });
    wasInterrupted = signal.aborted;
  });
  if (results.length > 0) {
    const { html, json } = await writeReport(results, out);
    console.log(`\n${tableOf(results)}\n\n${html}\n${json}`);
  }
  return exitCodeOf({ results, named: options.scenario, wasInterrupted });
}

/** What a figure depends on. */
async function conditionsHere(): Promise<RunResult["conditions"]> {
  const checkout = join(import.meta.dirname, "..");
  const [cpu] = cpus();
  const commit = await git(checkout, "rev-parse", "--short", "HEAD");
  const changes = await git(checkout, "status", "--porcelain");
  return {
    // A copy without history runs as well.
    commit: commit === undefined ? "unknown" : `${commit}${changes === "" ? "" : " and changes"}`,
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
