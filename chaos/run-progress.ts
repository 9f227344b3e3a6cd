// What the terminal shows: a line per fault as it happens, a verdict per scenario, and a table at the end.
import Table from "cli-table3";
import type { RunResult } from "./contract.ts";
import type { RunEvents } from "./run.ts";

const violationsShown = 5;

export function progressOn(print: (line: string) => void, { count }: { readonly count: number }): RunEvents {
  let nth = 0;
  return {
    begun({ name, about }) {
      nth += 1;
      print(`\n[${nth}/${count}] ${name}: ${about}`);
    },
    said: (line, ms) => print(`${seconds(ms).padStart(9)}  ${line}`),
    ended(result, ms) {
      print(
        `${seconds(ms).padStart(9)}  ${verdictOf(result)}${result.notRun === undefined ? "" : `: ${result.notRun}`}`,
      );
      for (const { invariant, message } of result.violations.slice(0, violationsShown)) {
        print(`           ${invariant}: ${message}`);
      }
      const more = result.violations.length - violationsShown;
      if (more > 0) print(`           and ${more} more`);
    },
  };
}

/** One row per run. Times in seconds. */
export function summaryOf(results: readonly RunResult[]): string {
  const table = new Table({
    head: [
      "scenario",
      "",
      "accepted",
      "lost",
      "twice",
      "overlap",
      "gap submit/start/end",
      "failover p50/p99/max",
      "adopted",
    ],
    style: { head: [], border: [] },
  });
  for (const result of results) {
    const { accepted, lost, executedTwice, overlaps, longestGapMs: gap, failoverMs, resumed } = result.figures;
    table.push(
      result.notRun === undefined
        ? [
            result.scenario,
            verdictOf(result),
            accepted,
            lost,
            executedTwice,
            overlaps,
            [gap.submit, gap.dispatch, gap.settle].map(inSeconds).join(" / "),
            Object.values(failoverMs)
              .map(({ count, p50, p99, max }) => `${[p50, p99, max].map(inSeconds).join(" / ")} (${count})`)
              .join("\n"),
            resumed.running > 0 ? `${resumed.adopted} of ${resumed.running}` : "",
          ]
        : [result.scenario, verdictOf(result)],
    );
  }
  const count = (is: (result: RunResult) => boolean) => results.filter(is).length;
  const failed = count(({ passed, notRun }) => !passed && notRun === undefined);
  return `${table}\n${count(({ passed }) => passed)} passed, ${failed} failed, ${count(({ notRun }) => notRun !== undefined)} not run`;
}

function verdictOf({ passed, notRun }: RunResult): string {
  if (notRun !== undefined) return "not run";
  return passed ? "passed" : "FAILED";
}

function inSeconds(ms: number): string {
  return (ms / 1_000).toFixed(1);
}

function seconds(ms: number): string {
  return `${inSeconds(ms)} s`;
}
