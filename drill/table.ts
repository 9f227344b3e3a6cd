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
  const figures = new Table({ head: ["promise", "measured", "promised"], style });
  figures.push(
    ["accepted submissions", verdict.accepted, ""],
    ["submissions that failed after the client's retries", verdict.failed, "0"],
    ["lost tasks", verdict.lost, "0"],
    ["repeated executions", verdict.repeated, "0"],
    ["attempts cut by the upgrade", verdict.steps.reduce((sum, { cut }) => sum + cut, 0), "0"],
    ["a partition without owner when it is handed off, ms", samples(verdict.ownerlessMs), "p99 ≤ 1000"],
    ["a task that waits while its partition is handed off, ms", samples(verdict.dispatchGapMs), "p99 ≤ 1000 + calm"],
    ["calm: from a task's acceptance to its start, ms", samples(verdict.calmDelayMs), ""],
  );
  const broken = verdict.broken.map((promise) => `BROKEN: ${promise}`);
  return [steps.toString(), figures.toString(), ...broken].join("\n");
}

function samples(found: Samples | undefined): string {
  if (!found) return "none";
  const [p50, p99, max] = [found.p50, found.p99, found.max].map(Math.round);
  return `p50 ${p50}, p99 ${p99}, max ${max} (${found.count})`;
}

function seconds(ms: number): string {
  return (ms / 1_000).toFixed(1);
}
