// All runs as one page that needs nothing but itself: it can be sent, kept, and opened from a disk.
import type { RunResult } from "../contract.ts";
import { pictureOf } from "./picture.ts";
import {
  countsOf,
  duration,
  figureRows,
  samples,
  share,
  shortAim,
  verdictOf,
  violationCount,
  violationsShown,
} from "./text.ts";

export interface PageFacts {
  /** Such as `2026-11-21 09:30 UTC`. */
  readonly writtenAt: string;
}

export function pageOf(results: readonly RunResult[], { writtenAt }: PageFacts): string {
  const verdict = headlineOf(results);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Sluice under chaos: ${escaped(verdict)}</title>
<style>${style}</style>
</head>
<body>
<h1>Sluice under chaos</h1>
<p>${escaped(`${writtenAt}: ${verdict}.`)}</p>
${overview(results)}
${results.map(section).join("\n")}
</body>
</html>
`;
}

/** Nothing is said of what nobody has seen. */
function headlineOf(results: readonly RunResult[]): string {
  // A control that passes has shown the opposite.
  const isAnyWell = results.some((result) => verdictOf(result) === "passed" && result.violations.length === 0);
  const isWell = isAnyWell && !results.some((result) => verdictOf(result) === "failed");
  return `${countsOf(results)}${isWell ? ": nothing is lost, nothing ran twice" : ""}`;
}

const style = `
:root { font: 15px/1.5 system-ui, sans-serif; color: #1f2937; background: #fff; }
body { max-width: 1140px; margin: 2rem auto; padding: 0 1rem; }
section { border-top: 1px solid #e5e7eb; margin-top: 2.5rem; padding-top: .5rem; }
table { border-collapse: collapse; font-size: 13px; }
th, td { text-align: left; padding: 3px 12px 3px 0; vertical-align: top; border-bottom: 1px solid #f3f4f6; }
th { font-weight: 600; color: #4b5563; }
td.number { font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; }
.verdict { border-radius: 4px; padding: 1px 8px; font-size: 13px; font-weight: 600; color: #fff; background: #6b7280; }
.passed { background: #15803d; } .failed { background: #b91c1c; }
.columns { display: flex; flex-wrap: wrap; gap: 0 3rem; align-items: flex-start; }
.violations { color: #991b1b; } .violations li { margin-bottom: 4px; }
svg { max-width: 100%; height: auto; }
`;

function overview(results: readonly RunResult[]): string {
  const rows = results.map((result) => {
    const { scenario, notRun, figures, aims } = result;
    const aimsIn = (unit: "ms" | "share") => aims.filter((aim) => aim.unit === unit).map(shortAim);
    const cells =
      notRun === undefined
        ? [
            String(figures.accepted),
            String(figures.lost),
            String(figures.executedTwice),
            String(figures.overlaps),
            Object.values(figures.longestGapMs).map(duration).join(" / "),
            [
              ...Object.entries(figures.failoverMs).map(([kind, each]) => `${kind}: ${samples(each)}`),
              ...aimsIn("ms"),
            ].join("; "),
            [share(figures.resumed.adopted, figures.resumed.running), ...aimsIn("share")].join("; "),
          ]
        : [];
    const link = `<a href="#${anchorOf(result, results)}">${escaped(scenario)}</a>`;
    return `<tr><td>${link}</td><td>${badge(result)}</td>${cells.map((cell) => `<td class="number">${escaped(cell)}</td>`).join("")}</tr>`;
  });
  const head = [
    "scenario",
    "",
    "accepted",
    "lost",
    "twice",
    "overlaps",
    "longest gap: submit / start / settle",
    "failover p50 / p99 / max",
    "adopted",
  ];
  return `<div class="wide"><table><tr>${head.map((text) => `<th>${text}</th>`).join("")}</tr>${rows.join("")}</table></div>`;
}

function section(result: RunResult, index: number): string {
  const { scenario, about, seed, conditions, notRun, checked, tookMs } = result;
  const head = `<section id="run-${index + 1}">
<h2>${escaped(scenario)} ${badge(result)}</h2>
<p>${escaped(about)}</p>`;
  if (notRun !== undefined) return `${head}<p>Not run: ${escaped(notRun)}.</p></section>`;
  const facts = [
    ["seed", String(seed)] as const,
    ["took", duration(tookMs)] as const,
    ...Object.entries(conditions).map(([name, value]) => [name, String(value)] as const),
  ];
  return `${head}
${violationList(result)}
<div class="wide">${pictureOf(result)}</div>
<div class="columns">${pairs("figures", figureRows(result))}${pairs("conditions", facts)}</div>
<p>Checked: ${escaped(checked.join(", ") || "nothing")}.</p>
</section>`;
}

function violationList(result: RunResult): string {
  const { violations } = result;
  if (violations.length === 0) return "";
  const items = violations
    .slice(0, violationsShown)
    .map(({ invariant, message }) => `<li><b>${escaped(invariant)}</b> ${escaped(message)}</li>`);
  const more = violations.length - items.length;
  if (more > 0) items.push(`<li>and ${more} more</li>`);
  return `<div class="violations"><h3>${violationCount(result)}</h3><ul>${items.join("")}</ul></div>`;
}

function pairs(name: string, rows: readonly (readonly [name: string, value: string])[]): string {
  const cells = rows.map(
    ([key, value]) => `<tr><th>${escaped(key)}</th><td class="number">${escaped(value)}</td></tr>`,
  );
  return `<div><h3>${name}</h3><table>${cells.join("")}</table></div>`;
}

function badge(result: RunResult): string {
  const verdict = verdictOf(result);
  return `<span class="verdict ${verdict}">${verdict}</span>`;
}

function anchorOf(result: RunResult, results: readonly RunResult[]): string {
  return `run-${results.indexOf(result) + 1}`;
}

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? character);
}
