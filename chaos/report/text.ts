// Figures as people read them.
import type { AimResult, RunResult, Samples } from "../contract.ts";

/** Of one run; the JSON has all. */
export const violationsShown = 100;

export function verdictOf({ passed, notRun }: Pick<RunResult, "passed" | "notRun">): "passed" | "failed" | "not run" {
  if (notRun !== undefined) return "not run";
  return passed ? "passed" : "failed";
}

/** A run that passes with violations is a control, which must show some. */
export function violationCount({ passed, violations }: Pick<RunResult, "passed" | "violations">): string {
  const { length } = violations;
  return `${count(length)} ${length === 1 ? "violation" : "violations"}${passed && length > 0 ? ", as it must" : ""}`;
}

/** The verdicts on some runs, such as `3 passed, 0 failed, 1 not run`. */
export function countsOf(results: readonly RunResult[]): string {
  const verdicts = results.map(verdictOf);
  return (["passed", "failed", "not run"] as const)
    .map((verdict) => `${verdicts.filter((each) => each === verdict).length} ${verdict}`)
    .join(", ");
}

/** `820 ms`, `4.2 s`, `1,203 s`. */
export function duration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  return ms < 100_000 ? `${(ms / 1_000).toFixed(1)} s` : `${count(Math.round(ms / 1_000))} s`;
}

export function count(value: number): string {
  return value.toLocaleString("en-US");
}

export function samples({ count: n, p50, p99, max }: Samples): string {
  return `${duration(p50)} / ${duration(p99)} / ${duration(max)} (${count(n)})`;
}

/** `99.4 % (310 of 312)`; nothing ran: `-`. */
export function share(part: number, whole: number): string {
  if (whole === 0) return "-";
  return `${((100 * part) / whole).toFixed(1)} % (${count(part)} of ${count(whole)})`;
}

/** `failover after crash, p99 ≤ 9.0 s: met, 6.5 s (12)`. */
export function describeAim(result: AimResult): string {
  return `${result.about} ${bound(result)}: ${reached(result)}`;
}

/** Where the figure itself stands beside it: `aim ≤ 9.0 s: met`. */
export function shortAim(result: AimResult): string {
  const { count: n, countMin, verdict } = result;
  return `aim ${bound(result)}: ${verdict}${n < countMin && n > 0 ? `, ${count(n)} of ${count(countMin)}` : ""}`;
}

function bound({ unit, aim }: AimResult): string {
  return unit === "ms" ? `≤ ${duration(aim)}` : `≥ ${100 * aim} %`;
}

function reached({ unit, value, count: n, countMin, verdict }: AimResult): string {
  if (n < countMin && n > 0) return `${verdict}: ${count(n)} of ${count(countMin)}`;
  if (value === undefined) return verdict;
  return `${verdict}, ${unit === "ms" ? duration(value) : `${(100 * value).toFixed(1)} %`} (${count(n)})`;
}

/** Every figure with its name, in the order of the contract. */
export function figureRows({ figures, aims }: RunResult): readonly (readonly [name: string, value: string])[] {
  const { longestGapMs: gap, failoverMs, resumed } = figures;
  return [
    ["accepted", count(figures.accepted)],
    ["refused", count(figures.rejected)],
    ["never answered", count(figures.unknown)],
    ["answered only when asked again", count(figures.unknownAtFirst)],
    ["not sent: too many open", count(figures.skipped)],
    ["failed", count(figures.failed)],
    ["expired", count(figures.expired)],
    ["lost", count(figures.lost)],
    ["executed twice", count(figures.executedTwice)],
    ["overlapping attempts", count(figures.overlaps)],
    ["stale writes refused", count(figures.staleWritesRefused)],
    ["partitions that stepped down", count(figures.steppedDown)],
    ["announced again", count(figures.announcedAgain)],
    ["longest gap without a submission", duration(gap.submit)],
    ["longest gap without a start", duration(gap.dispatch)],
    ["longest gap without a settlement", duration(gap.settle)],
    ...Object.entries(failoverMs).map(
      ([kind, each]) => [`failover after ${kind}, p50 / p99 / max (partitions)`, samples(each)] as const,
    ),
    ["running tasks adopted", share(resumed.adopted, resumed.running)],
    ...aims.map((aim) => [`aim: ${aim.about} ${bound(aim)}`, reached(aim)] as const),
  ];
}

/** One run on some lines, for the terminal. */
export function describeResult(result: RunResult): string {
  const { scenario, about, seed, notRun, violations, checked, tookMs } = result;
  const head = `${scenario}: ${verdictOf(result)}${notRun === undefined ? "" : `, ${notRun}`}`;
  if (notRun !== undefined) return head;
  const rows = figureRows(result);
  const width = Math.max(...rows.map(([name]) => name.length));
  return [
    head,
    `  ${about}`,
    `  seed ${seed}; took ${duration(tookMs)}; checked: ${checked.join(", ") || "nothing"}`,
    ...rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`),
    `  ${violationCount(result)}`,
    ...violations.slice(0, violationsShown).map(({ invariant, message }) => `  ! ${invariant}: ${message}`),
  ].join("\n");
}
