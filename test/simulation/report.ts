// What a person sees of a run.
import type { Violation } from "@sluice/checkers";
import { type CounterName, counterNames } from "./counters.ts";
import { flagsOf } from "./options.ts";
import type { Shrunk } from "./shrink.ts";
import type { Outcome, SimulateOptions } from "./simulate.ts";

export interface ReportOptions {
  /** Also the plan of faults. */
  readonly isVerbose: boolean;
  /** Number of a task whose trace is wanted. */
  readonly about: number | undefined;
  /** So many of the last lines of the trace. */
  readonly traceLines: number;
  /** A protection that the run was without. */
  readonly control?: string | undefined;
}

/** Of each invariant. */
const violationsMax = 4;
const strikesMax = 30;

/** One line, and after a violation the facts, the trace and the command that replays it. */
export function describeOutcome(
  outcome: Outcome,
  options: SimulateOptions,
  report: ReportOptions,
  ms: number,
): string[] {
  const { seed, traceHash, violations, facts, trace } = outcome;
  const verdict = violations.length === 0 ? "ok" : `${violations.length} VIOLATIONS`;
  const virtual = `${(facts.endedAtMs / 1_000).toFixed(0)} s in ${(ms / 1_000).toFixed(2)} s`;
  const lines = [`seed ${seed}  ${traceHash}  ${verdict}  ${facts.tasks} tasks  ${facts.executions} runs  ${virtual}`];
  if (report.isVerbose || violations.length > 0) lines.push(`  faults: ${outcome.plan}`);
  lines.push(...describeViolations(violations));
  const about = report.about ?? violations.find(({ seq }) => seq !== undefined)?.seq;
  if (about !== undefined) lines.push(...linesAbout(trace, about).map((line) => `    ${line}`));
  lines.push(...trace.slice(Math.max(0, trace.length - report.traceLines)).map((line) => `    ${line}`));
  if (violations.length > 0) lines.push(`  replay: npm run sim -- ${flagsOf(options, report.control)}`);
  return lines;
}

export function describeCounters(counters: Readonly<Record<CounterName, number>>): string[] {
  return counterNames.map((name) => `${String(counters[name]).padStart(8)}  ${name}`);
}

/** What is left of a failure, and the command that shows it. `before`: how many there were of each. */
export function describeShrunk(
  { run, outcome, runs, isSmallest }: Shrunk,
  before: { readonly faults: number; readonly strikes: number },
  control: string | undefined,
): string[] {
  const { faults, strikes, violations } = outcome;
  const why = isSmallest ? "none of them can be left out" : "the time ran out";
  return [
    `  left of ${before.faults} faults and ${before.strikes} strikes, after ${runs} runs (${why}):`,
    ...faults.map((name) => `    fault ${name}`),
    ...strikes
      .slice(0, strikesMax)
      .map(({ index, at, kind, what }) => `    strike ${index} at ${at.toFixed(0)} ms: ${kind}, ${what}`),
    ...(strikes.length > strikesMax ? [`    and ${strikes.length - strikesMax} more`] : []),
    ...describeViolations(violations),
    `  replay: npm run sim -- ${flagsOf(run, control)}`,
  ];
}

function describeViolations(violations: readonly Violation[]): string[] {
  const shown = new Map<string, number>();
  const lines: string[] = [];
  for (const { invariant, message } of violations) {
    const count = (shown.get(invariant) ?? 0) + 1;
    shown.set(invariant, count);
    if (count <= violationsMax) lines.push(`  ${invariant}: ${message}`);
  }
  for (const [invariant, count] of shown) {
    if (count > violationsMax) lines.push(`  ${invariant}: and ${count - violationsMax} more`);
  }
  return lines;
}

function linesAbout(trace: readonly string[], seq: number): readonly string[] {
  const pattern = new RegExp(`\\btask ${seq}\\b|(?:TOUCH|UNPARK|BLOCK LOST)\\b.*\\s${seq}\\b`);
  return trace.filter((line) => pattern.test(line));
}
