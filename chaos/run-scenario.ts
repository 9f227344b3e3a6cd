// One run of one scenario.
//
//   calm ──enough has run──▶ the script breaks things ──done, or failed──▶ healed ──▶ finishing ──▶ judged
//
// A script that fails does not end the run: what it left behind is healed, finished and judged all the same, so that the
// report shows more than the failure.
import type { Random } from "@sluice/core";
import type {
  Arena,
  FaultMark,
  LeaseProfile,
  PartitionName,
  RunResult,
  Scenario,
  Stage,
  Workload,
} from "./contract.ts";
import type { Harness } from "./run-harness.ts";
import { messageOf, sleep, within } from "./run-within.ts";

export interface ScenarioRun {
  readonly scenario: Scenario;
  readonly arena: Arena;
  readonly seed: number;
  readonly random: Random;
  readonly repeat: number;
  readonly conditions: RunResult["conditions"];
  readonly profile: LeaseProfile;
  readonly mustMeetAims: boolean;
  readonly calmMs: number;
  readonly signal: AbortSignal;
  /** A line of progress. */
  readonly say: (line: string) => void;
}

const calm = { accepted: 100, started: 60, withinMs: 60_000 };
const prepareWithinMs = 120_000;
const healWithinMs = 180_000;
const quietWithinMs = 180_000;
/** Of one script, and for each repetition; waits of its own are shorter. */
const scriptWithinMs = 420_000;

/** Rejects only when the signal aborts, or when nothing could be judged. */
export async function runScenario(harness: Harness, run: ScenarioRun): Promise<RunResult> {
  const { scenario, arena, seed, repeat, signal } = run;
  const marks: FaultMark[] = [];
  await using _prepared = await within(Promise.resolve(scenario.prepare?.(arena)), {
    ms: prepareWithinMs,
    what: "the preparation",
    signal,
  });
  await using workload = await within(harness.startWorkload(arena, { seed, ...scenario.workload }), {
    ms: calm.withinMs,
    what: "the start of the workload",
    signal,
  });
  const stage = createStage(run, workload, marks);
  const problems: string[] = [];
  const attempt = async (what: string, ms: number, work: () => Promise<void>) => {
    try {
      await within(work(), { ms, what, signal });
    } catch (cause) {
      signal.throwIfAborted();
      problems.push(`${what}: ${messageOf(cause)}`);
      run.say(`${what} failed: ${messageOf(cause)}`);
    }
  };
  await attempt("the calm before", 3 * calm.withinMs, () => untilCalm(workload, run));
  if (problems.length === 0) await attempt("the script", scriptWithinMs * repeat, () => scenario.run(stage, repeat));
  await attempt("the healing", healWithinMs, () => arena.heal());
  const healedAt = workload.now();
  for (const mark of marks) mark.until ??= healedAt;

  const finishMs = scenario.quietWithinMs ?? quietWithinMs;
  run.say("waiting until everything accepted is final");
  const evidence = await within(workload.finish(finishMs), {
    ms: 2 * finishMs,
    what: "the end of the workload",
    signal,
  });
  const failures = problems.map((message) => ({ invariant: "harness", message }));
  const { conditions, profile, mustMeetAims } = run;
  return harness.judge({ scenario, seed, conditions, profile, mustMeetAims, evidence, marks, failures });
}

async function untilCalm(workload: Workload, { calmMs, signal }: ScenarioRun): Promise<void> {
  await Promise.all([workload.accepted(calm.accepted, calm.withinMs), workload.started(calm.started, calm.withinMs)]);
  await sleep(calmMs, signal);
}

function createStage(run: ScenarioRun, workload: Workload, marks: FaultMark[]): Stage {
  const { arena, random, signal, say } = run;
  return {
    arena,
    workload,
    random: () => random.next(),
    sleep: (ms) => sleep(ms, signal),
    mark(kind, where, partitions) {
      const from = workload.now();
      const mark: FaultMark = { kind, where, from, until: undefined, ...(partitions && { partitions }) };
      marks.push(mark);
      say(`${kind} ${where}${countOf(partitions)}`);
      return () => {
        mark.until ??= workload.now();
        if (mark.until - from > 50) say(`${kind} ${where} is over after ${((mark.until - from) / 1_000).toFixed(1)} s`);
      };
    },
  };
}

function countOf(partitions: readonly PartitionName[] | undefined): string {
  return partitions ? `, owner of ${partitions.length} partitions` : "";
}
