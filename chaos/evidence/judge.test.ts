// Each check on evidence made by hand: it must see what is wrong, and nothing in what is right.
import type { AgentLife } from "@sluice/checkers";
import { AccountId, TaskId } from "@sluice/core";
import { describe, expect, test } from "vitest";
import type { FaultMark } from "../contract.ts";
import { judge } from "./judge.ts";
import { aLife, anEvidence, anExecution, aRecord, aRow, type EvidenceParts } from "./testing.ts";

const brokenBy = (parts: EvidenceParts, marks: readonly FaultMark[] = []) => [
  ...new Set(judge(anEvidence(parts), marks).violations.map(({ invariant }) => invariant)),
];

test("a task that runs once and succeeds breaks nothing, and everything that can be is checked", () => {
  const { violations, checked, figures } = judge(anEvidence(), []);

  expect(violations).toEqual([]);
  expect(checked).toEqual(expect.arrayContaining(["I1", "I2", "I3", "I4", "executed-twice", "first-attempt"]));
  expect(figures).toMatchObject({ accepted: 1, rejected: 0, unknown: 0, lost: 0, executedTwice: 0, overlaps: 0 });
});

describe("lost", () => {
  test("an accepted task that is not there, or not final, is lost", () => {
    const nowhere = judge(anEvidence({ history: { rows: [], executions: [] } }), []);
    const open = judge(anEvidence({ history: { rows: [aRow({ status: "Running", endedAt: undefined })] } }), []);
    expect([nowhere.figures.lost, open.figures.lost]).toEqual([1, 1]);
    const broken = [...nowhere.violations, ...open.violations].map(({ invariant }) => invariant);
    expect(broken.filter((invariant) => invariant !== "not-empty")).toEqual(["I1", "I1"]);
  });
  test("one of unknown outcome may be there or not, once", () => {
    const submissions = [aRecord(), aRecord({ taskId: "short-2", answer: "unknown", firstAnswer: "unknown" })];
    const both = { rows: [aRow(), aRow({ seq: 2 })], executions: [anExecution(), anExecution({ seq: 2 })] };
    expect(brokenBy({ submissions, history: both })).toEqual(["answered"]);
    expect(brokenBy({ submissions })).toEqual(["answered"]);
    const twice = { executions: [...both.executions, anExecution({ seq: 3 })], rows: both.rows };
    expect(brokenBy({ submissions, history: twice })).toContain("nobody-else");
  });
});

test("more of a limited function at a time than may run is seen", () => {
  const limits = [
    { at: 1, account: "red", function: "work-1", concurrencyMax: 1, rateMax: 0, rateBurst: 0 },
    { at: 1, account: "green", function: "work-1", concurrencyMax: 2, rateMax: 0, rateBurst: 0 },
  ];
  const of = (account: string) => {
    const row = { accountId: AccountId(account), endedAt: 1_031_000 };
    const taskIds = [1, 2].map((seq) => TaskId(`short-${seq}`));
    return {
      submissions: taskIds.map((taskId) => aRecord({ account, taskId })),
      history: {
        limits,
        rows: taskIds.map((taskId, index) => aRow({ ...row, taskId, seq: index + 1 })),
        executions: [1, 2].map((seq) => anExecution({ seq, startedAt: 30_000 + seq, endedAt: 30_500 })),
      },
    };
  };
  expect(brokenBy(of("red"))).toEqual(["I10"]);
  expect(brokenBy(of("green"))).toEqual([]);
});

test("what is left of the dead when everything has finished is seen", () => {
  const claim = { kind: "claim", what: "/claims/q0/-", holder: "scheduler-0-aaaaaa" } as const;
  const rest = { at: 9_000, alive: ["scheduler-0-bbbbbb"], found: [claim] };
  expect(brokenBy({ history: { rest } })).toEqual(["I14"]);
  expect(brokenBy({ history: { rest: { ...rest, alive: ["scheduler-0-aaaaaa"] } } })).toEqual([]);
});

test("a run of which nothing was seen is not judged as one that went well", () => {
  const nothing = { rows: [], executions: [], submissions: [] };
  expect(brokenBy({ submissions: [], history: nothing })).toEqual(["not-empty"]);
  expect(judge(anEvidence({ submissions: [], history: nothing }), []).violations).toHaveLength(3);
});

test("a submission that is refused, or never answered, breaks a promise", () => {
  for (const answer of ["rejected", "unknown"] as const) {
    const other = aRecord({ taskId: "short-2", answer, firstAnswer: answer });
    expect(brokenBy({ submissions: [aRecord(), other] })).toEqual(["answered"]);
  }
});

test("a refused submission leaves nothing", () => {
  const submissions = [aRecord(), aRecord({ taskId: "short-2", answer: "rejected", firstAnswer: "rejected" })];
  const history = { rows: [aRow(), aRow({ seq: 2 })], executions: [anExecution(), anExecution({ seq: 2 })] };
  expect(brokenBy({ submissions, history })).toEqual(["answered", "refused-has-no-effect"]);
});

test("a task that nobody submitted is seen", () => {
  const history = { rows: [aRow(), aRow({ seq: 2 })], executions: [anExecution(), anExecution({ seq: 2 })] };
  expect(brokenBy({ history })).toEqual(["nobody-else"]);
});

describe("executed twice", () => {
  const again = anExecution({ agentId: "agent-1", epoch: 9, startedAt: 2_000, endedAt: 2_020 });
  const twice = { executions: [anExecution(), again] };
  const other = aLife({ agentId: "agent-1" });

  test("the same attempt while its agent lives", () => {
    const { violations, figures } = judge(anEvidence({ history: { ...twice, lives: [aLife(), other] } }), []);
    expect(violations.map(({ invariant }) => invariant)).toEqual(["I4", "executed-twice"]);
    expect(figures.executedTwice).toBe(1);
  });
  test("not when its agent was gone before", () => {
    expect(brokenBy({ history: { ...twice, lives: [aLife({ downAt: 1_500 }), other] } })).toEqual([]);
  });
  test("when its agent died only afterwards", () => {
    const { figures } = judge(anEvidence({ history: { ...twice, lives: [aLife({ downAt: 2_500 }), other] } }), []);
    expect(figures.executedTwice).toBe(1);
  });
  test("when it had ended well long before its agent died", () => {
    const later = { ...again, startedAt: 62_000, endedAt: 62_020 };
    const rows = [aRow({ endedAt: 1_063_000 })];
    const history = { rows, executions: [anExecution(), later], lives: [aLife({ downAt: 61_000 }), other] };
    expect(brokenBy({ history })).toEqual(["executed-twice"]);
    // Nobody heard of the agent until it was given up.
    const silent = [aLife({ downAt: 21_000 }), other];
    expect(brokenBy({ history: { ...history, lives: silent } })).toEqual([]);
    // It was killed, and had a journal.
    const blow: FaultMark = { kind: "crash", where: "agent-0", from: 21_000, until: 22_000 };
    expect(brokenBy({ history: { ...history, lives: silent } }, [blow])).toEqual(["executed-twice"]);
    expect(brokenBy({ history: { ...history, lives: silent } }, [{ ...blow, where: "agent-1" }])).toEqual([]);
  });
  test("the next attempt of one that had ended well", () => {
    const next = { executions: [anExecution(), { ...again, attempt: 2 }], rows: [aRow({ attempt: 2 })] };
    expect(brokenBy({ history: { ...next, lives: [aLife(), other] } })).toEqual(["executed-twice"]);
  });
  test("not the next attempt of one that failed, or was killed", () => {
    const rows = [aRow({ attempt: 2, retries: 1 })];
    const failed = [anExecution({ how: "failed" }), { ...again, attempt: 2 }];
    const killed = [anExecution({ how: "killed" }), { ...again, attempt: 2 }];
    const lives = [aLife(), other];
    const retried = [aRecord({ kind: "retried" })];
    const crashing = [aRecord({ kind: "crashing" })];
    expect(brokenBy({ submissions: retried, history: { executions: failed, rows, lives } })).toEqual([]);
    expect(brokenBy({ submissions: crashing, history: { executions: killed, rows, lives } })).toEqual([]);
  });
});

describe("a further attempt", () => {
  const stopped = anExecution({ how: "stopped", endedAt: 1_500 });
  const next = anExecution({ attempt: 2, agentId: "agent-1", startedAt: 2_500, endedAt: 2_520 });
  const rows = [aRow({ attempt: 2 })];
  const other = aLife({ agentId: "agent-1" });
  const broken = (first: typeof stopped | undefined, downAt?: number, mark?: FaultMark) =>
    brokenBy(
      { history: { executions: first ? [first, next] : [next], rows, lives: [aLife({ downAt }), other] } },
      mark ? [mark] : [],
    );
  const leave: FaultMark = { kind: "stop", where: "agent-0", from: 1_200, until: 2_500 };

  test("of a task that was stopped, killed, failed or never begun, while its agent lived, needs a reason", () => {
    for (const first of [stopped, { ...stopped, how: "killed" }, { ...stopped, how: "failed" }, undefined] as const) {
      expect(broken(first)).toEqual(["first-attempt"]);
    }
  });
  test("has one if its agent had died, and none if that was long after or later", () => {
    expect(broken({ ...stopped, how: "killed" }, 1_600)).toEqual([]);
    expect(broken(stopped, 1_600)).toEqual([]);
    expect(broken(undefined, 1_600)).toEqual([]);
    expect(broken(stopped, 2_510)).toEqual(["first-attempt"]);
    const blow: FaultMark = { kind: "crash", where: "agent-0", from: 2_400, until: 2_600 };
    expect(broken({ ...stopped, endedAt: 1_020 }, 2_400, blow)).toEqual(["first-attempt"]);
    expect(broken({ ...stopped, endedAt: 2_390 }, 2_400, blow)).toEqual([]);
  });
  test("has one if an agent was fenced a moment before the task came, or was seen to be so late", () => {
    const came = 8_000;
    const later = { ...next, startedAt: 9_000, endedAt: 9_020 };
    const brokenWith = (life: Partial<AgentLife>) =>
      brokenBy({
        history: {
          executions: [later],
          rows: [
            aRow({ attempt: 2, enqueuedAt: aRow().enqueuedAt + came - 1_000, endedAt: undefined, status: "Running" }),
          ],
          lives: [aLife(life), other],
        },
      });
    expect(brokenWith({ downAt: came - 4_000 })).not.toContain("first-attempt");
    expect(brokenWith({ downAt: 500 })).toContain("first-attempt");
    expect(brokenWith({ downAt: 500, seenDownAt: came - 4_000 })).not.toContain("first-attempt");
  });
  test("has one if its agent was told to leave, and none if another one was", () => {
    expect(broken(stopped, undefined, leave)).toEqual([]);
    expect(broken(undefined, undefined, leave)).toEqual([]);
    expect(broken(stopped, undefined, { ...leave, where: "agent-1" })).toEqual(["first-attempt"]);
    expect(broken(stopped, undefined, { ...leave, where: "scheduler-0" })).toEqual(["first-attempt"]);
    expect(broken(stopped, undefined, { ...leave, from: 1_600 })).toEqual(["first-attempt"]);
  });
  test("belongs to those that fail as they are told to", () => {
    const history = { executions: [{ ...stopped, how: "failed" as const }, next], rows };
    expect(brokenBy({ submissions: [aRecord({ kind: "retried" })], history })).toEqual([]);
  });
});

test("attempts that were both seen alive at one time overlap", () => {
  const killed = anExecution({ how: "killed", endedAt: 1_700 });
  const next = anExecution({ attempt: 2, agentId: "agent-1", startedAt: 1_600, endedAt: 1_900 });
  const rows = [aRow({ attempt: 2 })];
  const lives = [aLife({ downAt: 1_500 }), aLife({ agentId: "agent-1" })];
  const { violations, figures } = judge(anEvidence({ history: { executions: [killed, next], rows, lives } }), []);
  expect([violations.map(({ invariant }) => invariant), figures.overlaps]).toEqual([["I3"], 1]);

  const after = { ...next, startedAt: 1_700 };
  expect(brokenBy({ history: { executions: [killed, after], rows, lives } })).toEqual([]);
});

describe("outcomes", () => {
  const error = { type: "UnhandledInvocationError", message: "got the input of blue/short-9", body: "" };
  test("a result that is not that of the attempt is wrong", () => {
    expect(brokenBy({ history: { rows: [aRow({ result: Buffer.from("1#2") })] } })).toEqual(["I2"]);
  });
  test("a success without an end in the ledger is wrong", () => {
    expect(brokenBy({ history: { executions: [anExecution({ how: "killed" })] } })).toEqual(["I2"]);
  });
  test("a handler that should succeed and fails is seen", () => {
    const rows = [aRow({ status: "Failed", error, attempt: 4, retries: 3 })];
    const executions = [1, 2, 3, 4].map((attempt) =>
      anExecution({ attempt, how: "failed", startedAt: 1_000 + 100 * attempt, endedAt: 1_050 + 100 * attempt }),
    );
    expect(brokenBy({ history: { rows, executions } })).toEqual(["first-attempt", "right-outcome"]);
  });
  test("a task whose agents died is Failed by right", () => {
    const rows = [aRow({ status: "Failed", error: { ...error, type: "AgentLost" }, attempt: 4, lostAttempts: 3 })];
    const executions = [1, 2, 3, 4].map((attempt) =>
      anExecution({ attempt, how: "killed", startedAt: 1_000 + 100 * attempt, endedAt: 1_050 + 100 * attempt }),
    );
    const lives = [aLife({ downAt: 1_160 })];
    expect(brokenBy({ history: { rows, executions, lives } })).toEqual([]);
    const alive = brokenBy({ history: { rows, executions, lives: [aLife()] } });
    expect(alive).toEqual(expect.arrayContaining(["first-attempt", "right-outcome"]));
  });
  test("an error of agents fails a task only if one was dead or could not write meanwhile", () => {
    const rows = [aRow({ status: "Failed", error: { ...error, type: "AgentError" } })];
    const history = { rows, executions: [anExecution({ how: "failed" })] };
    const full: FaultMark = { kind: "disk-full", where: "agent-0", from: 2_000, until: 4_000 };
    expect(brokenBy({ history })).toEqual(["right-outcome"]);
    expect(brokenBy({ history }, [full])).toEqual([]);
    expect(brokenBy({ history }, [{ ...full, where: "nats-0" }])).toEqual(["right-outcome"]);
    expect(brokenBy({ history }, [{ ...full, from: 3_500 }])).toEqual(["right-outcome"]);
    expect(judge(anEvidence({ history }), []).figures.failed).toBe(1);
  });
  test("only what was asked to stop is Stopped", () => {
    const history = { rows: [aRow({ status: "Stopped" })], executions: [anExecution({ how: "stopped" })] };
    expect(brokenBy({ history })).toEqual(["right-outcome"]);
    expect(brokenBy({ history, submissions: [aRecord({ kind: "stopped" })] })).toEqual([]);
    const expired = aRow({ status: "Expired", expiresAt: 1_002_000 });
    expect(brokenBy({ history: { rows: [expired] } })).toEqual(["right-outcome"]);
  });
  test("a task expires only if it was told to, not before its time, and not when its attempt has started", () => {
    const expired = aRow({ status: "Expired", enqueuedAt: 1_001_000, expiresAt: 1_003_000 });
    const other = { row: aRow({ seq: 2 }), run: anExecution({ seq: 2 }), record: aRecord({ taskId: "short-2" }) };
    const submissions = [aRecord({ kind: "expiring" }), other.record];
    const asked = { account: "red", function: "work-1", taskId: "short-1", token: "", askedAt: 1_000 };
    const wish = { ...asked, delayMs: 500, expiresAfterMs: 1_500, answer: "accepted" } as const;
    const history = { submissions: [wish], executions: [other.run], rows: [expired, other.row] };
    expect(brokenBy({ submissions, history })).toEqual([]);
    expect(brokenBy({ submissions: [aRecord(), other.record], history })).toEqual(["right-outcome"]);
    const later = { ...wish, expiresAfterMs: 5_000 };
    const started = anExecution({ startedAt: 1_600, endedAt: 1_610 });
    expect(brokenBy({ submissions, history: { ...history, submissions: [later] } })).toEqual(["right-outcome"]);
    const late = { ...history, executions: [started, other.run] };
    expect(brokenBy({ submissions, history: late })).toEqual(["right-outcome"]);
    expect(brokenBy({ submissions, history: { ...late, lives: [aLife({ downAt: 2_000 })] } })).toEqual([]);
  });
  test("one that starts after it has expired is seen", () => {
    const submissions = [aRecord({ kind: "expiring" })];
    const rows = [aRow({ enqueuedAt: 1_001_000, expiresAt: 1_001_100, endedAt: 1_009_100 })];
    const late = [anExecution({ startedAt: 9_000, endedAt: 9_010 })];
    expect(brokenBy({ submissions, history: { rows, executions: late } })).toEqual(["I8"]);
  });
  test("an attempt that goes on after its task is final is seen, unless its agent died", () => {
    const history = {
      rows: [aRow({ status: "Stopped" })],
      executions: [anExecution({ endedAt: undefined, how: undefined })],
    };
    const submissions = [aRecord({ kind: "stopped" })];
    expect(brokenBy({ history, submissions })).toEqual(["end-in-ledger"]);
    expect(brokenBy({ history: { ...history, lives: [aLife({ downAt: 2_000 })] }, submissions })).toEqual([]);
  });
});

test("an account that is shown what another one submitted is seen", () => {
  const view = { at: 1, account: "red", by: "list", function: "work-1", taskId: TaskId("short-1") };
  expect(brokenBy({ history: { views: [{ ...view, owner: "red" }] } })).toEqual([]);
  expect(brokenBy({ history: { views: [{ ...view, owner: "blue" }] } })).toEqual(["I13"]);
});

test("what services counted is in the figures", () => {
  const counters = {
    sluice_scheduler_stale_writes_total: 4,
    sluice_scheduler_stepdowns_total: 1,
    // Guards that did not hold, also those of one's own commit when it is repeated.
    sluice_scheduler_refused_writes_total: 3,
    sluice_scheduler_reannounced_tasks_total: 7,
  };
  expect(judge(anEvidence({ counters, skipped: 2 }), []).figures).toMatchObject({
    staleWritesRefused: 4,
    steppedDown: 1,
    announcedAgain: 7,
    skipped: 2,
  });
});
