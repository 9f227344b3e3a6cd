import Table from "cli-table3";
import type { RunResult } from "../contract.ts";
import { count, countsOf, duration, samples, share, shortAim, verdictOf, violationCount } from "./text.ts";

const head = [
  "scenario",
  "verdict",
  "accepted\nrefused\nunknown",
  "lost\ntwice\noverlaps",
  "stale writes\nstepped down\nannounced again",
  "longest gap:\nsubmit / start / settle",
  "failover p50 / p99 / max (n)",
  "adopted",
  "took",
];

/** One row per run, without colours; then how many passed, and how long everything took. */
export function tableOf(results: readonly RunResult[]): string {
  const table = new Table({ head, style: { head: [], border: [] } });
  for (const result of results) {
    const { scenario, notRun, violations, figures, aims, tookMs } = result;
    const aimsIn = (unit: "ms" | "share") => aims.filter((aim) => aim.unit === unit).map(shortAim);
    if (notRun !== undefined) {
      table.push([scenario, `not run: ${notRun}`, "", "", "", "", "", "", duration(tookMs)]);
      continue;
    }
    const { longestGapMs: gap, failoverMs, resumed } = figures;
    const verdict = verdictOf(result);
    table.push([
      scenario,
      lines(verdict, ...(violations.length > 0 ? [violationCount(result)] : [])),
      lines(count(figures.accepted), count(figures.rejected), count(figures.unknown)),
      lines(count(figures.lost), count(figures.executedTwice), count(figures.overlaps)),
      lines(count(figures.staleWritesRefused), count(figures.steppedDown), count(figures.announcedAgain)),
      [gap.submit, gap.dispatch, gap.settle].map(duration).join(" / "),
      lines(...Object.entries(failoverMs).map(([kind, each]) => `${kind}: ${samples(each)}`), ...aimsIn("ms")),
      lines(share(resumed.adopted, resumed.running), ...aimsIn("share")),
      duration(tookMs),
    ]);
  }
  const all = results.reduce((sum, { tookMs }) => sum + tookMs, 0);
  return `${table.toString()}\n${countsOf(results)}; everything took ${duration(all)}`;
}

function lines(...texts: readonly string[]): string {
  return texts.join("\n");
}
