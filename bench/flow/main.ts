// `npm run bench:flow`: what each mechanism of flow control does on a cluster of processes, with it, without it, and in a
// plain FIFO, in the same run. Prints its conditions, a table for each scenario, and as its last line one line of JSON.
import { cpus, loadavg, totalmem } from "node:os";
import Table from "cli-table3";
import { Command, Option } from "commander";
import { type Scenario, scenarios, shared, type Variant } from "./scenarios.ts";

const command = new Command("bench:flow")
  .addOption(new Option("--scenario <name>", "only this one").choices(scenarios.map(({ name }) => name)))
  .option("--quick", "a twentieth of the tasks, a third of the times", false)
  .parse();
const { scenario: only, quick } = command.opts<{ scenario?: string; quick: boolean }>();

const size = { divisor: quick ? 20 : 1 };
const variantNames: Readonly<Record<Variant, string>> = {
  with: "with",
  without: "without",
  fifo: "plain FIFO (one account, function, priority)",
};

let versions: Readonly<Record<string, string>> = {};
const figures: { readonly [key: string]: unknown }[] = [];
const started = new Date();
const loadAtStart = load();

for (const scenario of scenarios) {
  if (only === undefined || scenario.name === only) await runScenario(scenario);
}
printConditions();
console.log(JSON.stringify({ figures, quick, cores: cpus().length, loadAtStart, loadAtEnd: load(), versions }));
process.exit();

async function runScenario(scenario: Scenario): Promise<void> {
  const table = new Table({ head: [scenario.name, ...scenario.head, "load"], style: { head: [], border: [] } });
  for (const variant of scenario.variants) {
    const cells = await scenario.run(variant, size, (target) => {
      versions = { Node: process.version, ...target.versions };
    });
    const [loadNow = 0] = loadavg();
    table.push([variantNames[variant], ...cells, loadNow.toFixed(1)]);
    figures.push({ scenario: scenario.name, variant, ...namedCells(scenario, cells), load: loadNow });
    console.error(`${scenario.name}, ${variantNames[variant]}: ${cells.join(", ")}`);
  }
  console.log(`\n${scenario.about(size)}.\nWithout: ${scenario.without}.\n${table.toString()}`);
}

function namedCells({ head }: Scenario, cells: readonly string[]) {
  return Object.fromEntries(cells.map((cell, index) => [head[index] ?? "", cell]));
}

function printConditions(): void {
  const [atStart = "0"] = loadAtStart;
  console.log(
    [
      `\n${quick ? "QUICK: a twentieth of the tasks; this shows that it runs, not how well. " : ""}${started.toISOString()}.`,
      `2 api-servers, 1 scheduler, ${shared}, PostgreSQL with fsync, nats-server, etcd, and the clients, all on this machine; a new cluster for each row.`,
      "All accounts are in one queue, no flow gets its own, and nothing is refused at submission: source edit and setting, in every row.",
      `${cpus().length} cores (${cpus()[0]?.model.trim()}), ${Math.round(totalmem() / 2 ** 30)} GiB; load average (1, 5, 15 min) at the start ${loadAtStart.join(", ")}, at the end ${load().join(", ")}.`,
      Object.entries(versions)
        .map(([name, version]) => `${name} ${version}`)
        .join(", "),
      ...(Number(atStart) > cpus().length
        ? ["THE MACHINE WAS OVERLOADED before this began: these figures say nothing about Sluice."]
        : []),
    ].join("\n"),
  );
}

function load(): string[] {
  return loadavg().map((average) => average.toFixed(1));
}
