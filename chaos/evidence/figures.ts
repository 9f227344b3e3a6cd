import type { Violation } from "@sluice/checkers";
import type { Figures } from "../contract.ts";
import { repetitions } from "./checks.ts";
import { bySeq, type Facts, waitsForItsLimit } from "./facts.ts";
import { failovers, resumed } from "./failover.ts";
import { longestGap, type Step } from "./gaps.ts";
import { samplesOf } from "./samples.ts";

/** Counters in which services say what was refused and repaired. */
const staleWrites = "sluice_scheduler_stale_writes_total";
const stepDowns = "sluice_scheduler_stepdowns_total";
const announcedAgain = "sluice_scheduler_reannounced_tasks_total";

export function figuresOf(facts: Facts, violations: readonly Violation[]): Figures {
  const { submissions, skipped, counters } = facts.evidence;
  const ended = (status: string) => facts.rows.filter((row) => row.status === status).length;
  const answers = (answer: string) => submissions.filter((submission) => submission.answer === answer).length;
  const broken = (invariant: string) => violations.filter((violation) => violation.invariant === invariant).length;
  const counted = (name: string) => counters[name] ?? 0;
  return {
    accepted: answers("accepted"),
    rejected: answers("rejected"),
    unknown: answers("unknown"),
    unknownAtFirst: submissions.filter(({ firstAnswer, answer }) => firstAnswer === "unknown" && answer !== "unknown")
      .length,
    skipped,
    failed: ended("Failed"),
    expired: ended("Expired"),
    lost: broken("I1"),
    executedTwice: repetitions(facts).length,
    overlaps: broken("I3"),
    staleWritesRefused: counted(staleWrites),
    steppedDown: counted(stepDowns),
    announcedAgain: counted(announcedAgain),
    longestGapMs: {
      submit: longestGap(submitSteps(facts)),
      dispatch: longestGap(dispatchSteps(facts)),
      settle: longestGap(settleSteps(facts)),
    },
    failoverMs: failoverSamples(facts),
    resumed: resumed(facts),
  };
}

function failoverSamples(facts: Facts): Figures["failoverMs"] {
  const byKind = new Map<string, number[]>();
  for (const { kind, ms } of failovers(facts)) {
    if (ms !== undefined) byKind.set(kind, [...(byKind.get(kind) ?? []), ms]);
  }
  return Object.fromEntries(
    [...byKind].flatMap(([kind, values]) => {
      const samples = samplesOf(values);
      return samples ? [[kind, samples]] : [];
    }),
  );
}

function submitSteps({ evidence }: Facts): Step[] {
  return evidence.submissions
    .filter(({ answer }) => answer === "accepted")
    .map(({ askedAt, knownAt }) => ({ from: askedAt, at: knownAt }));
}

/** First starts. A task can start from when it was asked for, or its delay was over, on. */
function dispatchSteps({ evidence, rows, executions, kindOf }: Facts): Step[] {
  const { submissions = [] } = evidence.history;
  const readyAt = new Map(
    submissions.map(({ account, taskId, askedAt, delayMs }) => [`${account}/${taskId}`, askedAt + delayMs]),
  );
  const runs = bySeq(executions);
  return rows.flatMap((row) => {
    const { accountId, taskId, seq } = row;
    const from = waitsForItsLimit(kindOf(row)) ? undefined : readyAt.get(`${accountId}/${taskId}`);
    return (runs.get(seq) ?? []).map(({ startedAt: at }, index) => ({
      // What a later attempt waited for, or one with a limit, is not known: it is a sign of life, no more.
      from: index === 0 && from !== undefined ? Math.min(from, at) : at,
      at,
    }));
  });
}

/** A task can be settled from the end of its last execution on. */
function settleSteps({ evidence, rows, executions }: Facts): Step[] {
  const { wallStart } = evidence.history;
  const runs = bySeq(executions);
  return rows.flatMap(({ seq, endedAt }) => {
    if (endedAt === undefined) return [];
    const at = endedAt - wallStart;
    const last = runs.get(seq)?.at(-1)?.endedAt;
    return [{ from: last === undefined ? at : Math.min(last, at), at }];
  });
}
