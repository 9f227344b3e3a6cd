// What an upgrade has done to the tasks, from what clients, handlers and the store say.
import { check, type Execution, type Violation } from "@sluice/checkers";
import type { Task } from "@sluice/core";
import type { Evidence, Samples, TaskKind } from "../chaos/contract.ts";
import { plainKinds } from "../chaos/evidence/facts.ts";
import { handOffGaps, startDelays } from "./gaps.ts";
import { ownerlessGaps } from "./ownership.ts";
import { type Step, upwards } from "./upgrade.ts";

export interface VerdictOptions {
  /** How long an agent lets running attempts go on. */
  readonly drainMs: number;
  /** How long the longest tasks run. */
  readonly longMsMax: number;
  /** Of the schedulers. */
  readonly logs: readonly string[];
}

/** A step, and what became of the attempts that ran when it began: of an agent, its own; else all. */
export interface StepResult extends Step {
  readonly running: number;
  /** They ended by themselves, or ran still when the step was over. */
  readonly wentOn: number;
  /** Given back by the agent, to run again elsewhere. */
  readonly handedBack: number;
  /** Ended by the step although they should have gone on. */
  readonly cut: number;
}

export interface Verdict {
  readonly steps: readonly StepResult[];
  readonly accepted: number;
  /** Submissions that got no, or a wrong, answer within the client's time for retries. */
  readonly failed: number;
  readonly lost: number;
  readonly repeated: number;
  /** From the acceptance of a task to its start, before anything was replaced. */
  readonly calmDelayMs: Samples | undefined;
  /** How long a partition had no owner when it was handed off; undefined: none was. */
  readonly ownerlessMs: Samples | undefined;
  /** From a task that could run to the first one that the new owner starts. */
  readonly dispatchGapMs: Samples | undefined;
  /**
   * What the 99th percentile of both should be, and what is promised of the latter: that, beyond what tasks wait here anyway.
   * A busy machine misses the aim, and keeps the promise.
   */
  readonly gapAimMs: number;
  readonly dispatchGapMsMax: number;
  /** What was promised and not kept, for people; empty: all is well. */
  readonly broken: readonly string[];
}

const gapMsMax = 1_000;
/** The agent's clock started a little later than ours. */
const toleranceMs = 500;

export function judgeUpgrade(evidence: Evidence, steps: readonly Step[], options: VerdictOptions): Verdict {
  const { drainMs, longMsMax, logs } = options;
  const { history, submissions } = evidence;
  const kindOf = new Map(submissions.map(({ account, taskId, kind }) => [`${account}/${taskId}`, kind]));
  const rows = new Map((history.rows ?? []).map((row) => [row.seq, row]));
  const isPlain = ({ seq }: Execution) => {
    const row = rows.get(seq);
    const kind = row && kindOf.get(`${row.accountId}/${row.taskId}`);
    return kind !== undefined && plainKinds.has(kind);
  };
  const executions = (history.executions ?? []).filter(isPlain);
  const results = steps.map((step) => resultOf(step, executions));
  const violations = check(history);
  const lost = violations.filter(({ invariant }) => invariant === "I1");
  const repeated = [...violations.filter(({ invariant }) => ["I3", "I4"].includes(invariant)), ...ranAgain(executions)];
  const failed = submissions.filter(({ firstAnswer }) => firstAnswer !== "accepted");
  const facts = { submissions, executions, rows };
  const calmDelayMs = samplesOf(startDelays(facts, steps[0]?.from ?? evidence.until));
  const ownerlessMs = samplesOf(ownerlessGaps(logs));
  const dispatchGapMs = samplesOf(handOffGaps(facts));
  const dispatchGapMsMax = gapMsMax + (calmDelayMs?.p99 ?? 0);
  const broken = [
    ...say(
      "submission failed after its retries",
      failed.map(({ taskId, firstAnswer }) => `${taskId} ${firstAnswer}`),
    ),
    ...say(
      "broken invariant",
      violations.map(({ invariant, message }) => `${invariant}: ${message}`),
    ),
    ...say(
      "repetition",
      ranAgain(executions).map(({ message }) => message),
    ),
    ...say("cut attempt", cutOnes(executions, steps).map(describe)),
    ...say("attempt handed back too early", tooEarly(executions, steps, drainMs).map(describe)),
    ...say("attempt begun on an agent that drains", lateStarts(executions, steps).map(describeStart)),
    ...(longMsMax > drainMs ? noneHandedBack(results) : []),
    ...say("service that refused connections before it said that it is not ready", silentlyGone(steps)),
    ...unheard(steps),
    ...say("wrong end of a task", wrongEnds(history.rows ?? [], isPlainRow(kindOf))),
    ...tooLong("partitions had no owner", ownerlessMs, gapMsMax),
    ...untouched(results),
    ...tooLong("nothing was dispatched after a hand-off", dispatchGapMs, dispatchGapMsMax),
  ];
  return {
    steps: results,
    accepted: submissions.filter(({ answer }) => answer === "accepted").length,
    failed: failed.length,
    lost: lost.length,
    repeated: repeated.length,
    calmDelayMs,
    ownerlessMs,
    dispatchGapMs,
    gapAimMs: gapMsMax,
    dispatchGapMsMax,
    broken,
  };
}

function resultOf(step: Step, executions: readonly Execution[]): StepResult {
  const running = executions.filter(
    ({ agentId, startedAt, endedAt }) =>
      (step.kind !== "agent" || agentId === step.service) &&
      startedAt < step.from &&
      (endedAt ?? step.until) > step.from,
  );
  const during = running.filter((execution) => isInterrupted(execution) && endOf(execution) <= step.until);
  const handedBack = during.filter((execution) => isHandedBack(execution, step)).length;
  const cut = during.length - handedBack;
  return { ...step, running: running.length, wentOn: running.length - during.length, handedBack, cut };
}

/** It did not come to its own end. */
function isInterrupted({ how }: Execution): boolean {
  return how !== "ok";
}

function endOf({ endedAt }: Execution): number {
  return endedAt ?? Number.POSITIVE_INFINITY;
}

function isHandedBack(execution: Execution, step: Step): boolean {
  if (step.kind !== "agent" || execution.agentId !== step.service || execution.how === "failed") return false;
  return endOf(execution) >= step.from && endOf(execution) <= step.until;
}

/** Those that no agent has handed back. */
function cutOnes(executions: readonly Execution[], steps: readonly Step[]): Execution[] {
  return executions.filter((each) => isInterrupted(each) && !steps.some((step) => isHandedBack(each, step)));
}

/** An agent may give back only what would have run for longer than it drains. */
function tooEarly(executions: readonly Execution[], steps: readonly Step[], drainMs: number): Execution[] {
  return executions.filter(
    (each) =>
      isInterrupted(each) &&
      steps.some((step) => isHandedBack(each, step) && endOf(each) < step.from + drainMs - toleranceMs),
  );
}

/** Schedulers hear of a drain within milliseconds; what they have sent by then begins soon. */
const lateMs = 1_000;

/** An agent takes nothing new after its SIGTERM. */
function lateStarts(executions: readonly Execution[], steps: readonly Step[]): Execution[] {
  const draining = steps.filter(({ kind }) => kind === "agent");
  return executions.filter(({ agentId, startedAt }) =>
    draining.some(
      ({ service, from, goneAt }) => agentId === service && startedAt > from + lateMs && startedAt <= goneAt,
    ),
  );
}

function noneHandedBack(results: readonly StepResult[]): string[] {
  if (results.some(({ handedBack }) => handedBack > 0)) return [];
  return [
    "not measured: what becomes of an attempt that runs for longer than its agent drains, as none was handed back",
  ];
}

function silentlyGone(steps: readonly Step[]): string[] {
  return steps.flatMap(({ service, farewells }) =>
    farewells.flatMap(({ probe, said }) => (said === "refused" ? [`${service}, by its ${probe}`] : [])),
  );
}

/** Kinds of services of which nobody heard a farewell. */
function unheard(steps: readonly Step[]): string[] {
  const heard = new Map<string, boolean>();
  for (const { kind, farewells } of steps) {
    for (const { probe, said } of farewells) {
      const what = `${probe} of a service (${kind})`;
      heard.set(what, heard.get(what) === true || said !== "unseen");
    }
  }
  return [...heard].flatMap(([what, isHeard]) => (isHeard ? [] : [`not measured: what ${what} says after SIGTERM`]));
}

/** Tasks that came to their own end more than once. */
function ranAgain(executions: readonly Execution[]): Violation[] {
  const ends = new Map<number, number>();
  for (const { seq, how } of executions) if (how === "ok") ends.set(seq, (ends.get(seq) ?? 0) + 1);
  return [...ends].flatMap(([seq, count]) =>
    count > 1 ? [{ invariant: "once", seq, message: `task ${seq} ran to its end ${count} times` }] : [],
  );
}

/** What is handed back counts neither as a failure nor as lost, and succeeds in the end. */
function wrongEnds(rows: readonly Task[], isPlainTask: (row: Task) => boolean): string[] {
  return rows.filter(isPlainTask).flatMap(({ taskId, status, retries, lostAttempts }) => {
    if (status === "Succeeded" && retries === 0 && lostAttempts === 0) return [];
    return [`${taskId} is ${status} after ${retries} retries and ${lostAttempts} lost attempts`];
  });
}

function isPlainRow(kindOf: ReadonlyMap<string, TaskKind>): (row: Task) => boolean {
  return ({ accountId, taskId }) => plainKinds.has(kindOf.get(`${accountId}/${taskId}`) ?? "stopped");
}

function describe({ seq, attempt, agentId, how, endedAt }: Execution): string {
  return `task ${seq} attempt ${attempt} on ${agentId}: ${how ?? "unknown"} at ${endedAt === undefined ? "?" : Math.round(endedAt)} ms`;
}

function describeStart({ seq, attempt, agentId, startedAt }: Execution): string {
  return `task ${seq} attempt ${attempt} on ${agentId} at ${Math.round(startedAt)} ms`;
}

/** `3 × broken invariant: I1: …; …`, with the first ones. */
function say(what: string, cases: readonly string[]): string[] {
  if (cases.length === 0) return [];
  const first = cases.slice(0, 3).join("; ");
  return [`${cases.length} × ${what}: ${first}${cases.length > 3 ? "; …" : ""}`];
}

/** Kinds of services of which no replacement met a running attempt. */
function untouched(results: readonly StepResult[]): string[] {
  return upwards.flatMap((kind) =>
    results.some((step) => step.kind === kind && step.running > 0)
      ? []
      : [`not measured: what the replacement of a service (${kind}) does to what runs`],
  );
}

function tooLong(what: string, found: Samples | undefined, maxMs: number): string[] {
  if (!found) return [`not measured: how long ${what}`];
  if (found.p99 <= maxMs) return [];
  return [`${what} for ${Math.round(found.p99)} ms (p99), more than ${Math.round(maxMs)}`];
}

/** Undefined: there are none. */
export function samplesOf(values: readonly number[]): Samples | undefined {
  if (values.length === 0) return undefined;
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
  return { count: sorted.length, p50: at(0.5), p99: at(0.99), max: at(1) };
}
