import Table from "cli-table3";
import type { RunResult } from "../contract.ts";
import { count, duration, samples, share, shortAim, verdictOf, violationCount } from "./text.ts";

const head = [
  "scenario",
  "verdict",
  "accepted\nrefused\nunknown",
  "lost\ntwice\noverlaps",
  "stale writes\nannounced again",
  "longest gap:\nsubmit / start / settle",
  "failover p50 / p99 / max (n)",
  "adopted",
];

/** One row per run, without colours. */
export function tableOf(results: readonly RunResult[]): string {
  const table = new Table({ head, style: { head: [], border: [] } });
  for (const result of results) {
    const { scenario, notRun, violations, figures, aims } = result;
    const aimsIn = (unit: "ms" | "share") => aims.filter((aim) => aim.unit === unit).map(shortAim);
    if (notRun !== undefined) {
      table.push([scenario, `not run: ${notRun}`, "", "", "", "", "", ""]);
      continue;
    }
    const { longestGapMs: gap, failoverMs, resumed } = figures;
    const verdict = verdictOf(result);
    table.push([
      scenario,
      lines(verdict, ...(violations.length > 0 ? [violationCount(result)] : [])),
      lines(count(figures.accepted), count(figures.rejected), count(figures.unknown)),
      lines(count(figures.lost), count(figures.executedTwice), count(figures.overlaps)),
      lines(count(figures.staleWritesRefused), count(figures.announcedAgain)),
      [gap.submit, gap.dispatch, gap.settle].map(duration).join(" / "),
      lines(...Object.entries(failoverMs).map(([kind, each]) => `${kind}: ${samples(each)}`), ...aimsIn("ms")),
      lines(share(resumed.adopted, resumed.running), ...aimsIn("share")),
    ]);
  }
  return table.toString();
}

function lines(...texts: readonly string[]): string {
  return texts.join("\n");
}
