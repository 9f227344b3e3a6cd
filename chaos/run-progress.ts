// What the terminal shows while scenarios run: a line per fault as it happens, and a verdict per scenario.
import { verdictOf } from "./report/text.ts";
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
    ended(result) {
      print(
        `${seconds(result.tookMs).padStart(9)}  ${verdictOf(result).toUpperCase()}${result.notRun === undefined ? "" : `: ${result.notRun}`}`,
      );
      for (const { invariant, message } of result.violations.slice(0, violationsShown)) {
        print(`           ${invariant}: ${message}`);
      }
      const more = result.violations.length - violationsShown;
      if (more > 0) print(`           and ${more} more`);
    },
  };
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}
