import Table from "cli-table3";
import type { Samples } from "../chaos/contract.ts";
import type { Verdict } from "./verdict.ts";

const style = { head: [], border: [], compact: true };

/** For people: a line per service that was replaced, the figures, and what was promised and not kept. */
export function tableOf(verdict: Verdict): string {
  const head = ["service", "to", "stop s", "start s", "running", "went on", "handed back", "cut"];
  const steps = new Table({ head, style, colAligns: ["left", "left", ...head.slice(2).map(() => "right" as const)] });
  for (const { service, to, from, goneAt, until, running, wentOn, handedBack, cut } of verdict.steps) {
    steps.push([service, to, seconds(goneAt - from), seconds(until - goneAt), running, wentOn, handedBack, cut]);
  }
  const { ownerlessMs, dispatchGapMs, gapAimMs, dispatchGapMsMax } = verdict;
  const figures = new Table({ head: ["promise", "measured", "promised"], style });
  figures.push(
    ["accepted submissions", verdict.accepted, ""],
    ["submissions that failed after the client's retries", verdict.failed, "0"],
    ["lost tasks", verdict.lost, "0"],
    ["repeated executions", verdict.repeated, "0"],
    ["attempts cut by the upgrade", verdict.steps.reduce((sum, { cut }) => sum + cut, 0), "0"],
    ["a partition without owner when it is handed off, ms", samples(ownerlessMs), bound(ownerlessMs, gapAimMs)],
    ["a task that waits while its partition is handed off, ms", samples(dispatchGapMs), bound(dispatchGapMs, gapAimMs)],
    ["the same, beyond what tasks wait in the calm", samples(dispatchGapMs), bound(dispatchGapMs, dispatchGapMsMax)],
    ["calm: from a task's acceptance to its start, ms", samples(verdict.calmDelayMs), ""],
  );
  const broken = verdict.broken.map((promise) => `BROKEN: ${promise}`);
  return [steps.toString(), figures.toString(), ...broken].join("\n");
}

function samples(found: Samples | undefined): string {
  if (!found) return "none";
  const [p50, p99, max] = [found.p50, found.p99, found.max].map(Math.round);
  // Of fewer the 99th percentile is the largest, or nearly.
  if (found.count < 100) return `p50 ${p50}, p99 as the largest of ${found.count}: ${p99}`;
  return `p50 ${p50}, p99 ${p99}, max ${max} (${found.count})`;
}

/** `p99 ≤ 1000: met` */
function bound(found: Samples | undefined, maxMs: number): string {
  const verdict = found === undefined ? "not measured" : found.p99 <= maxMs ? "met" : "missed";
  return `p99 ≤ ${Math.round(maxMs)}: ${verdict}`;
}

function seconds(ms: number): string {
  return (ms / 1_000).toFixed(1);
}
