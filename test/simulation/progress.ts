// How far many runs are, for a person at a terminal; elsewhere only the lines.
import { MultiBar, Presets } from "cli-progress";

export interface Progress {
  /** Above the bar. */
  print(lines: readonly string[]): void;
  /** One more run has ended; so many have failed. */
  step(failed: number): void;
  /** Takes the bar away. */
  stop(): void;
}

export function createProgress({ total, isShown }: { readonly total: number; readonly isShown: boolean }): Progress {
  if (!isShown) return { print: printAll, step: () => undefined, stop: () => undefined };
  const format = "{bar} {value} of {total} seeds, {failed} failed, {eta_formatted} left";
  const bars = new MultiBar({ stream: process.stdout, format, clearOnComplete: true }, Presets.shades_grey);
  const bar = bars.create(total, 0, { failed: 0 });
  return {
    print: (lines) => bars.log(lines.map((line) => `${line}\n`).join("")),
    step: (failed) => bar.increment({ failed }),
    stop: () => bars.stop(),
  };
}

function printAll(lines: readonly string[]): void {
  for (const line of lines) console.log(line);
}
