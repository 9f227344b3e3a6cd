// One run of one scenario.
//
//   calm ──enough has run──▶ the script breaks things ──done, or failed──▶ healed ──▶ finishing ──▶ judged
//
// A script that fails does not end the run: what it left behind is healed, finished and judged all the same, so that the
// report shows more than the failure. A run that cannot be judged has failed, and keeps its logs as any other that failed.
import type { Random } from "@sluice/core";
import type {
  Arena,
  Evidence,
  FaultMark,
  LeaseProfile,
  PartitionName,
  RunResult,
  Scenario,
  Stage,
  Workload,
} from "./contract.ts";
import type { Harness, JudgedRun, KeptRun } from "./run-harness.ts";
import { unjudged } from "./run-unjudged.ts";
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
/**
 * The longest task is submitted last, is lost with an agent of which that is known after 45 s at most, and runs for 120 s
 * again; the rest is for machines that are busy.
 */
const quietWithinMs = 240_000;
/** To read everything that is needed to judge, each of it patiently. */
const collectWithinMs = 300_000;
const judgeWithinMs = 120_000;
/** Of one script, and for each repetition; waits of its own are shorter, and none is for the end of a long task. */
const scriptWithinMs = 420_000;

/** Rejects only when the signal aborts. */
export async function runScenario(harness: Harness, run: ScenarioRun): Promise<JudgedRun> {
  const { scenario, seed, conditions, signal } = run;
  const notes: Notes = { marks: [], problems: [], evidence: undefined };
  try {
    return await runUntilJudged(harness, run, notes);
  } catch (cause) {
    signal.throwIfAborted();
    return unjudged({ scenario, seed, conditions, facts: factsOf(notes, cause) });
  }
}

/** What a run has shown so far. */
interface Notes {
  readonly marks: FaultMark[];
  /** What went wrong in the run itself. */
  readonly problems: string[];
  /** Undefined: it has not ended. */
  evidence: Evidence | undefined;
}

/** Rejects when there is nothing to judge; the logs are kept then. */
async function runUntilJudged(harness: Harness, run: ScenarioRun, notes: Notes): Promise<JudgedRun> {
  const { scenario, arena, seed, repeat, signal } = run;
  const { marks, problems } = notes;
  // While the cluster and those who use it exist: what ends them may hang, for the same reason.
  const orKeepLogs = async <T>(what: string, ms: number, work: Promise<T>): Promise<T> => {
    try {
      return await within(work, { ms, what, signal });
    } catch (cause) {
      signal.throwIfAborted();
      run.say(`nothing can be judged: ${messageOf(cause)}`);
      await keep(harness, run, { scenario: scenario.name, ...factsOf(notes, cause) }, notes.evidence);
      throw cause;
    }
  };
  await using _prepared = await orKeepLogs(
    "the preparation",
    prepareWithinMs,
    Promise.resolve(scenario.prepare?.(arena)),
  );
  await using workload = await orKeepLogs(
    "the start of the workload",
    calm.withinMs,
    harness.startWorkload(arena, { seed, ...scenario.workload }),
  );
  const stage = createStage(run, workload, marks);
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
  const evidence = await orKeepLogs("the end of the workload", finishMs + collectWithinMs, workload.finish(finishMs));
  notes.evidence = evidence;
  const { violations: failures } = factsOf(notes);
  const { conditions, profile, mustMeetAims } = run;
  const judged = { scenario, seed, conditions, profile, mustMeetAims, evidence, marks, failures };
  const result = await orKeepLogs("the verdict", judgeWithinMs, (async () => harness.judge(judged))());
  if (!result.passed) await keep(harness, run, result, evidence);
  return result;
}

function factsOf({ marks, problems }: Notes, cause?: unknown): Pick<JudgedRun, "marks" | "violations"> {
  const messages = cause === undefined ? problems : [...problems, messageOf(cause)];
  return { marks, violations: messages.map((message) => ({ invariant: "harness", message })) };
}

/** Never rejects: what a run has shown must not be lost with its logs. */
async function keep(harness: Harness, run: ScenarioRun, facts: KeptRun, evidence: Evidence | undefined): Promise<void> {
  try {
    const kept = await harness.keep?.(run.arena, facts, evidence);
    if (kept !== undefined) run.say(`logs and evidence are kept in ${kept}`);
  } catch (cause) {
    run.say(`logs and evidence could not be kept: ${messageOf(cause)}`);
  }
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
