// What the execution ledger shows beside the invariants that all tools share.
import { describeExecution, type Execution, type Violation } from "@sluice/checkers";
import { isFinal, type Task } from "@sluice/core";
import { excusesOf } from "./excuses.ts";
import { bySeq, type Facts } from "./facts.ts";
import { firstAttempt } from "./first-attempt.ts";

export interface Check {
  readonly name: string;
  /** The promise, in one sentence. */
  readonly about: string;
  check(facts: Facts): Violation[];
}

const notEmpty: Check = {
  name: "not-empty",
  about: "There is something to judge: tasks were accepted, have rows, and ran.",
  check: ({ evidence, rows, executions }) => {
    const counts = {
      "was accepted": evidence.submissions.filter(({ answer }) => answer === "accepted").length,
      "has a row": rows.length,
      ran: executions.length,
    };
    return Object.entries(counts).flatMap(([what, count]) =>
      count > 0 ? [] : [violation(notEmpty, `no task ${what}: nothing was measured`)],
    );
  },
};

const answered: Check = {
  name: "answered",
  about: "Every submission is accepted, at the latest some time after everything was healed: each of them is valid.",
  check: ({ evidence }) =>
    evidence.submissions.flatMap(({ account, taskId, answer, askedAt }) => {
      if (answer === "accepted") return [];
      const what = answer === "rejected" ? "was refused" : "was never answered";
      return [violation(answered, `${account}/${taskId}, asked at ${Math.round(askedAt)} ms, ${what}`)];
    }),
};

const noEffect: Check = {
  name: "refused-has-no-effect",
  about: "A submission that was refused leaves no task behind.",
  check: ({ evidence, rows }) => {
    const exists = new Set(rows.map((row) => `${row.accountId}/${row.taskId}`));
    return evidence.submissions
      .filter(({ answer, account, taskId }) => answer === "rejected" && exists.has(`${account}/${taskId}`))
      .map(({ account, taskId }) => violation(noEffect, `${account}/${taskId} was refused, and is there`));
  },
};

const asked: Check = {
  name: "nobody-else",
  about: "There is no task, and nothing runs, that nobody submitted; an unknown submission is one task at most.",
  check: ({ evidence, rows, executions }) => {
    const submitted = new Set(evidence.submissions.map(({ account, taskId }) => `${account}/${taskId}`));
    const known = new Set(rows.map(({ seq }) => seq));
    return [
      ...rows
        .filter((row) => !submitted.has(`${row.accountId}/${row.taskId}`))
        .map(({ accountId, taskId, seq }) => violation(asked, `nobody submitted ${accountId}/${taskId}`, seq)),
      ...executions
        .filter(({ seq }) => !known.has(seq))
        .map((execution) => violation(asked, `${describeExecution(execution)} ran, and no row has its number`)),
    ];
  },
};

const once: Check = {
  name: "executed-twice",
  about: "Nothing runs again, as the same attempt or after one that ended well, unless its agent died or was fenced.",
  check: (facts) =>
    repetitions(facts).map(({ earlier, later }) => {
      const message = `${describeExecution(later)} started at ${later.startedAt} ms, after ${describeExecution(earlier)} had ${earlier.how === "ok" ? "ended well" : "started"} at ${earlier.endedAt ?? earlier.startedAt} ms, whose agent had not died or been fenced at that time`;
      return violation(once, message, later.seq);
    }),
};

/** An execution that should not have been, and the one that says so. */
export function repetitions(facts: Facts): { readonly earlier: Execution; readonly later: Execution }[] {
  const { isGone } = excusesOf(facts);
  return [...bySeq(facts.executions).values()].flatMap((runs) =>
    runs.flatMap((later, index) => {
      const earlier = runs
        .slice(0, index)
        .find((run) => (run.attempt === later.attempt || run.how === "ok") && !isGone(run, later.startedAt));
      return earlier ? [{ earlier, later }] : [];
    }),
  );
}

/** What keeps agents from running anything, such as their death or a full disk, may use up the attempts of a task. */
const ofAgents: ReadonlySet<string> = new Set(["AgentLost", "AgentError", "InstanceUnavailable"]);

const outcome: Check = {
  name: "right-outcome",
  about: "A task ends as its handler ends: none fails, is stopped or expires that had no reason to.",
  check: (facts) => {
    const { wallStart } = facts.evidence.history;
    const { hadTrouble } = excusesOf(facts);
    const wronglyExpired = wrongExpiry(facts);
    return facts.rows.flatMap((row) => {
      const kind = facts.kindOf(row);
      const { status, error, seq, enqueuedAt, endedAt = Number.POSITIVE_INFINITY } = row;
      if (!isFinal(status) || status === "Succeeded" || (status === "Stopped" && kind === "stopped")) return [];
      const isOfAgents = status === "Failed" && ofAgents.has(error?.type ?? "");
      if (isOfAgents && hadTrouble(enqueuedAt - wallStart, endedAt - wallStart)) return [];
      if (status === "Expired" && kind === "expiring") {
        const reason = wronglyExpired(row);
        return reason === undefined ? [] : [violation(outcome, `${row.accountId}/${row.taskId} ${reason}`, seq)];
      }
      const why = error ? `: ${error.type}, ${error.message}` : "";
      return [violation(outcome, `${row.accountId}/${row.taskId} (${kind}) ended as ${status}${why}`, seq)];
    });
  },
};

/** Clocks of schedulers follow the store's, as far as its answers are quick. */
const earlyMs = 1_000;

/** Why a task should not have expired; undefined: it is right. */
function wrongExpiry(facts: Facts): (row: Task) => string | undefined {
  const { submissions = [], wallStart } = facts.evidence.history;
  const { isGone } = excusesOf(facts);
  const expiries = new Map(
    submissions.map((one) => [`${one.account}/${one.taskId}`, one.delayMs + one.expiresAfterMs] as const),
  );
  const runs = bySeq(facts.executions);
  return ({ accountId, taskId, seq, attempt, enqueuedAt, endedAt = 0 }) => {
    const early = enqueuedAt + (expiries.get(`${accountId}/${taskId}`) ?? 0) - endedAt;
    if (early > earlyMs) return `expired ${early} ms too early`;
    // An agent that died with it, before its start was recorded, took along what anybody knew of it.
    const started = runs.get(seq)?.find((run) => run.attempt === attempt && !isGone(run, endedAt - wallStart));
    return started && `expired, although ${describeExecution(started)} had started`;
  };
}

const ended: Check = {
  name: "end-in-ledger",
  about: "The attempt that made a task final has ended in the ledger, unless its agent died.",
  check: ({ rows, executions, lives }) => {
    const runs = bySeq(executions);
    const died = new Set(
      lives.filter(({ downAt }) => downAt !== undefined).map((life) => `${life.agentId}/${life.incarnation()}`),
    );
    return rows.flatMap((row) => {
      const open = runs.get(row.seq)?.find(({ attempt, endedAt, ...run }) => {
        const isLast = attempt === row.attempt;
        return isLast && endedAt === undefined && !died.has(`${run.agentId}/${run.incarnation}`);
      });
      if (!open || !isFinal(row.status)) return [];
      return [violation(ended, `${describeExecution(open)} runs on, and its task is ${row.status}`, row.seq)];
    });
  },
};

/** What is checked beside `@sluice/checkers`. */
export const checks: readonly Check[] = [notEmpty, answered, noEffect, asked, once, firstAttempt, outcome, ended];

function violation({ name }: Check, message: string, seq?: number): Violation {
  return { invariant: name, message, ...(seq !== undefined && { seq }) };
}
