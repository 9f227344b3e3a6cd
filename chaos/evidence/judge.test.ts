// Each check on evidence made by hand: it must see what is wrong, and nothing in what is right.
import { TaskId } from "@sluice/core";
import { describe, expect, test } from "vitest";
import { judge } from "./judge.ts";
import { aLife, anEvidence, anExecution, aRecord, aRow, type EvidenceParts } from "./testing.ts";

const brokenBy = (parts: EvidenceParts) => [
  ...new Set(judge(anEvidence(parts), []).violations.map(({ invariant }) => invariant)),
];

test("a task that runs once and succeeds breaks nothing, and everything that can be is checked", () => {
  const { violations, checked, figures } = judge(anEvidence(), []);

  expect(violations).toEqual([]);
  expect(checked).toEqual(expect.arrayContaining(["I1", "I2", "I3", "I4", "executed-twice", "nobody-else"]));
  expect(figures).toMatchObject({ accepted: 1, rejected: 0, unknown: 0, lost: 0, executedTwice: 0, overlaps: 0 });
});

describe("lost", () => {
  test("an accepted task that is not there, or not final, is lost", () => {
    const nowhere = judge(anEvidence({ history: { rows: [], executions: [] } }), []);
    const open = judge(anEvidence({ history: { rows: [aRow({ status: "Running", endedAt: undefined })] } }), []);
    expect([nowhere.figures.lost, open.figures.lost]).toEqual([1, 1]);
    expect([...nowhere.violations, ...open.violations].map(({ invariant }) => invariant)).toEqual(["I1", "I1"]);
  });
  test("one of unknown outcome may be there or not, once", () => {
    const submissions = [aRecord({ answer: "unknown", firstAnswer: "unknown" })];
    expect(brokenBy({ submissions })).toEqual([]);
    expect(brokenBy({ submissions, history: { rows: [], executions: [] } })).toEqual([]);
    const twice = { executions: [anExecution(), anExecution({ seq: 2 })] };
    expect(brokenBy({ submissions, history: twice })).toContain("nobody-else");
  });
});

test("a refused submission leaves nothing", () => {
  const submissions = [aRecord({ answer: "rejected", firstAnswer: "rejected" })];
  expect(brokenBy({ submissions, history: { rows: [], executions: [] } })).toEqual([]);
  expect(brokenBy({ submissions })).toEqual(["refused-has-no-effect"]);
});

test("a task that nobody submitted is seen", () => {
  expect(brokenBy({ submissions: [] })).toEqual(["nobody-else"]);
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
  test("the next attempt of one that had ended well", () => {
    const next = { executions: [anExecution(), { ...again, attempt: 2 }], rows: [aRow({ attempt: 2 })] };
    expect(brokenBy({ history: { ...next, lives: [aLife(), other] } })).toEqual(["executed-twice"]);
  });
  test("not the next attempt of one that failed, or was killed", () => {
    const rows = [aRow({ attempt: 2, retries: 1 })];
    const failed = [anExecution({ how: "failed" }), { ...again, attempt: 2 }];
    const killed = [anExecution({ how: "killed" }), { ...again, attempt: 2 }];
    expect(brokenBy({ history: { executions: failed, rows, lives: [aLife(), other] } })).toEqual([]);
    expect(brokenBy({ history: { executions: killed, rows, lives: [aLife(), other] } })).toEqual([]);
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
    expect(brokenBy({ history: { rows, executions } })).toEqual(["right-outcome"]);
  });
  test("a task whose agents died is Failed by right", () => {
    const rows = [aRow({ status: "Failed", error: { ...error, type: "AgentLost" }, attempt: 4, lostAttempts: 3 })];
    expect(brokenBy({ history: { rows, executions: [] } })).toEqual([]);
  });
  test("only what was asked to stop is Stopped", () => {
    const history = { rows: [aRow({ status: "Stopped" })], executions: [anExecution({ how: "stopped" })] };
    expect(brokenBy({ history })).toEqual(["right-outcome"]);
    expect(brokenBy({ history, submissions: [aRecord({ kind: "stopped" })] })).toEqual([]);
    expect(brokenBy({ history: { rows: [aRow({ status: "Expired" })] } })).toEqual(["right-outcome"]);
  });
  test("a task expires only if it was told to, not before its time, and not when its attempt has started", () => {
    const expired = aRow({ status: "Expired", enqueuedAt: 1_001_000 });
    const submissions = [aRecord({ kind: "expiring" })];
    const asked = { account: "red", function: "work-1", taskId: "short-1", token: "", askedAt: 1_000 };
    const wish = { ...asked, delayMs: 500, expiresAfterMs: 1_500, answer: "accepted" } as const;
    const history = { submissions: [wish], executions: [], rows: [expired] };
    expect(brokenBy({ submissions, history })).toEqual([]);
    expect(brokenBy({ submissions: [aRecord()], history })).toEqual(["right-outcome"]);
    const later = { ...wish, expiresAfterMs: 5_000 };
    const started = anExecution({ startedAt: 1_600, endedAt: 1_610 });
    expect(brokenBy({ submissions, history: { ...history, submissions: [later] } })).toEqual(["right-outcome"]);
    const late = { ...history, executions: [started] };
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
    sluice_scheduler_refused_writes_total: 3,
    sluice_scheduler_stepdowns_total: 1,
    sluice_scheduler_reannounced_tasks_total: 7,
  };
  expect(judge(anEvidence({ counters, skipped: 2 }), []).figures).toMatchObject({
    staleWritesRefused: 4,
    announcedAgain: 7,
    skipped: 2,
  });
});
