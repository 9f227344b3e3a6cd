// What a person sees of a run.
import { type CounterName, counterNames } from "./counters.ts";
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

const shownMax = 10;

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
  for (const { invariant, message } of violations.slice(0, shownMax)) lines.push(`  ${invariant}: ${message}`);
  if (violations.length > shownMax) lines.push(`  and ${violations.length - shownMax} more`);
  const about = report.about ?? violations.find(({ seq }) => seq !== undefined)?.seq;
  if (about !== undefined) lines.push(...linesAbout(trace, about).map((line) => `    ${line}`));
  lines.push(...trace.slice(Math.max(0, trace.length - report.traceLines)).map((line) => `    ${line}`));
  if (violations.length > 0) lines.push(`  replay: npm run sim -- ${flagsOf(options, report)}`);
  return lines;
}

export function describeCounters(counters: Readonly<Record<CounterName, number>>): string[] {
  return counterNames.map((name) => `${String(counters[name]).padStart(8)}  ${name}`);
}

function flagsOf({ seed, minutes }: SimulateOptions, { control }: ReportOptions): string {
  const flags = [`--seed ${seed}`, minutes !== undefined && `--minutes ${minutes}`, control && `--control ${control}`];
  return flags.filter(Boolean).join(" ");
}

function linesAbout(trace: readonly string[], seq: number): readonly string[] {
  const pattern = new RegExp(`\\btask ${seq}\\b|(?:TOUCH|UNPARK|BLOCK LOST)\\b.*\\s${seq}\\b`);
  return trace.filter((line) => pattern.test(line));
}
