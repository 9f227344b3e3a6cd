// Runs the simulations of flow control with production code on simulated time, prints what came out, and draws it into
// `docs/img`: the pictures of docs/flow-control.md. The same seed draws the same pictures.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import Table from "cli-table3";
import { drive, type PolicyName, policies, type Sample } from "./adaptive/drive.ts";
import { judge, recoverySeconds, type Verdict } from "./adaptive/judge.ts";
import { type Scenario, scenarios } from "./adaptive/scenarios.ts";
import { type BackpressureRun, compareBackpressure } from "./backpressure/simulate.ts";
import { colours, type Panel, svgOf } from "./plot.ts";
import { placeAtScale } from "./scale/placement.ts";
import { sampleZipf } from "./scale/sampling.ts";
import { shareShards } from "./scale/shards.ts";

const usage = `npm run sim:flow -- [options]

Simulates flow control with production code on simulated time, prints tables, and draws docs/img/flow-*.svg.

  --seed <n>      of everything that is random (default: 1)
  --out <folder>  for the pictures (default: docs/img)
  --help          this text
`;

const parts = { backpressure, adaptive, scale };

async function main(): Promise<void> {
  const { seed, out } = readOptions();
  await mkdir(out, { recursive: true });
  for (const run of Object.values(parts)) {
    for (const [name, svg] of await run(seed)) {
      const path = join(out, `flow-${name}.svg`);
      await writeFile(path, svg);
      process.stdout.write(`${path}\n\n`);
    }
  }
}

function readOptions(): { readonly seed: number; readonly out: string } {
  const options = { seed: { type: "string" }, out: { type: "string" }, help: { type: "boolean" } } as const;
  try {
    const { values } = parseArgs({ options });
    if (values.help === true) {
      process.stdout.write(usage);
      process.exit(0);
    }
    const seed = Number(values.seed ?? 1);
    if (!Number.isSafeInteger(seed) || seed < 0) throw new Error("--seed must be a whole number");
    return { seed, out: values.out ?? join(import.meta.dirname, "../../docs/img") };
  } catch (cause) {
    process.stderr.write(`${cause instanceof Error ? cause.message : String(cause)}\n\n${usage}`);
    process.exit(2);
  }
}

type Pictures = readonly (readonly [name: string, svg: string])[];

async function backpressure(seed: number): Promise<Pictures> {
  const runs = await compareBackpressure({ seed });
  const names = {
    calm: "calm: nobody is noisy",
    fair: "noisy: fair shares and fair order",
    uniform: "noisy: everybody refused alike",
    fifo: "noisy: nobody refused, first in first out",
  };
  const table = newTable("50 accounts at 40/s, A at 16,000/s, B at 4,000/s; 5,000/s are dispatched", [
    "refused of the 50",
    "worst of them",
    "refused of A",
    "of B",
    "p99 delay of the 50",
    "longest backlog",
  ]);
  for (const [key, name] of Object.entries(names) as [keyof typeof runs, string][]) {
    const run = runs[key];
    const lost = (group: "well-behaved" | "A" | "B") => percent(run.refused[group] / Math.max(1, run.sent[group]));
    table.push([
      name,
      lost("well-behaved"),
      percent(run.worstLoss),
      lost("A"),
      lost("B"),
      `${Math.round(run.delayP99Ms).toLocaleString("en")} ms`,
      run.backlogMax.toLocaleString("en"),
    ]);
  }
  print(table);
  return [["backpressure", svgOf(backpressurePanels(runs))]];
}

function backpressurePanels({ fair, uniform, fifo }: Awaited<ReturnType<typeof compareBackpressure>>): Panel[] {
  const series = (run: BackpressureRun, pick: (sample: BackpressureRun["samples"][number]) => number) =>
    run.samples.map(pick);
  return [
    {
      title: "Submissions per second, fair shares",
      lines: [
        { name: "A sends", colour: colours.bad, isDashed: true, values: series(fair, ({ sent }) => sent.A) },
        { name: "A accepted", colour: colours.bad, values: series(fair, ({ sent, refused }) => sent.A - refused.A) },
        { name: "B sends", colour: colours.other, isDashed: true, values: series(fair, ({ sent }) => sent.B) },
        { name: "B accepted", colour: colours.other, values: series(fair, ({ sent, refused }) => sent.B - refused.B) },
        {
          name: "the 50 accepted",
          colour: colours.good,
          values: series(fair, ({ sent, refused }) => sent["well-behaved"] - refused["well-behaved"]),
        },
      ],
    },
    {
      title: "Refused of the 50, per second",
      lines: [
        { name: "fair shares", colour: colours.good, values: series(fair, ({ refused }) => refused["well-behaved"]) },
        {
          name: "everybody alike",
          colour: colours.bad,
          values: series(uniform, ({ refused }) => refused["well-behaved"]),
        },
      ],
    },
    {
      title: "p99 delay of the 50, ms",
      isLogarithmic: true,
      lines: [
        { name: "fair order", colour: colours.good, values: series(fair, ({ delayP99Ms }) => delayP99Ms) },
        { name: "first in, first out", colour: colours.worse, values: series(fifo, ({ delayP99Ms }) => delayP99Ms) },
      ],
    },
    {
      title: "Tasks that wait",
      lines: [
        { name: "fair shares", colour: colours.good, values: series(fair, ({ backlog }) => backlog) },
        { name: "everybody alike", colour: colours.bad, values: series(uniform, ({ backlog }) => backlog) },
        { name: "nobody refused", colour: colours.worse, values: series(fifo, ({ backlog }) => backlog) },
      ],
    },
  ];
}

const policyNames: Readonly<Record<PolicyName, string>> = {
  adaptive: "adaptive",
  aimd: "plain AIMD of concurrency",
  none: "no control",
};
/** Compared with what has no adaptive dispatch, and drawn. */
const comparedName = "50 to 500 to 50/s";
/** One seed may be lucky: of some downstreams it depends on chance how often their limit is met. */
const runsOfScenario = 10;

async function adaptive(seed: number): Promise<Pictures> {
  const table = newTable(
    `A backlog without end behind a downstream, from its 30th second on; mean of ${runsOfScenario} seeds`,
    ["policy", "used of its capacity", "refused", "follows a rise within"],
  );
  const drawn = new Map<PolicyName, readonly Sample[]>();
  for (const scenario of scenarios) {
    for (const policy of scenario.name === comparedName ? policies : (["adaptive"] as const)) {
      const runs = Array.from({ length: runsOfScenario }, (_, run) => drive(policy, { ...scenario, seed: seed + run }));
      if (scenario.name === comparedName) drawn.set(policy, runs[0] ?? []);
      const verdicts = runs.map((samples) => judge(samples, 30));
      const mean = (of: (verdict: Verdict) => number) =>
        verdicts.reduce((sum, it) => sum + of(it), 0) / verdicts.length;
      table.push([
        ...[scenario.name, policyNames[policy], percent(mean(({ goodput }) => goodput))],
        ...[percent(mean(({ errors }) => errors)), followed(scenario, runs)],
      ]);
    }
  }
  print(table);
  return [["adaptive", svgOf(adaptivePanels(drawn))]];
}

/** The longest of all runs. */
function followed({ changesAt = [] }: Scenario, runs: readonly (readonly Sample[])[]): string {
  const [samples = []] = runs;
  const rises = changesAt.filter((at) => (samples[at + 1]?.capacity ?? 0) > (samples[at - 1]?.capacity ?? 0));
  const longest = (at: number) => Math.max(...runs.map((run) => recoverySeconds(run, at) ?? Number.POSITIVE_INFINITY));
  return rises.map((at) => (Number.isFinite(longest(at)) ? `${longest(at)} s` : "never")).join(", ");
}

function adaptivePanels(runs: ReadonlyMap<PolicyName, readonly Sample[]>): Panel[] {
  const lines = (pick: (sample: Sample) => number) =>
    [...runs].map(([policy, samples]) => ({
      name: policyNames[policy],
      colour: { adaptive: colours.good, aimd: colours.bad, none: colours.grey }[policy],
      values: samples.map(pick),
    }));
  const capacity = [...(runs.get("adaptive") ?? [])].map((sample) => sample.capacity);
  return [
    {
      title: "Calls that the downstream took, per second",
      lines: [
        { name: "it would take", colour: colours.neutral, isDashed: true, values: capacity },
        ...lines((s) => s.taken),
      ],
    },
    { title: "Calls that it refused, per second", isLogarithmic: true, lines: lines(({ refused }) => refused) },
  ];
}

async function scale(seed: number): Promise<Pictures> {
  const placement = newTable("10,000 partitions on 1,000 schedulers", [
    "highest load",
    "lowest",
    "moved",
    "of living owners",
    "rounds",
  ]);
  for (const { name, highest, lowest, moved, movedOfLiving, rounds } of placeAtScale({
    schedulers: 1_000,
    partitions: 10_000,
    seed,
  })) {
    placement.push([name, percent(highest), percent(lowest), moved, movedOfLiving, rounds]);
  }
  print(placement);

  const shards = newTable("1,000,000 accounts, two queues each: shared with a noisy one", [
    "both",
    "one",
    "none",
    "worst",
  ]);
  for (const queues of [8, 16, 64]) {
    const { both, one, none, worst } = shareShards(1_000_000, queues);
    shards.push([`${queues} queues`, percent(both), percent(one), percent(none), percent(worst)]);
  }
  print(shards);

  const samples = sampleZipf({ accounts: 1_000_000, submissionsPerInterval: 50_000, intervals: 30, skew: 1, seed });
  const sum = (pick: (sample: (typeof samples)[number]) => number) =>
    samples.reduce((all, each) => all + pick(each), 0);
  const sampling = newTable("1,000,000 accounts (Zipf), 50,000 submissions a second, one api-server", [
    "most entries",
    "large senders",
    "missed",
    "mean error",
  ]);
  sampling.push([
    "Sample-and-Hold",
    Math.max(...samples.map(({ entries }) => entries)),
    sum(({ large }) => large),
    sum(({ missed }) => missed),
    percent(sum(({ error }) => error) / samples.length),
  ]);
  print(sampling);
  const panels: Panel[] = [
    {
      title: "Entries of the table, of 1,000,000 accounts",
      lines: [{ name: "most in the second", colour: colours.neutral, values: samples.map(({ entries }) => entries) }],
    },
    {
      title: "Submissions a second from which somebody counts as large",
      lines: [{ name: "threshold", colour: colours.other, values: samples.map(({ threshold }) => threshold) }],
    },
  ];
  return [["sampling", svgOf(panels)]];
}

function newTable(title: string, head: readonly string[]): Table.Table {
  return new Table({ head: [title, ...head], style: { head: [], border: [] }, wordWrap: true });
}

function print(table: Table.Table): void {
  process.stdout.write(`${table.toString()}\n`);
}

function percent(share: number): string {
  return `${(100 * share).toFixed(share !== 0 && Math.abs(share) < 0.001 ? 4 : 1)} %`;
}

await main();
