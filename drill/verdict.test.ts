import { type Execution, emptyHistory } from "@sluice/checkers";
import { AccountId, FunctionName, type Task, TaskId } from "@sluice/core";
import { expect, test } from "vitest";
import type { Evidence, SubmissionRecord, TaskKind } from "../chaos/contract.ts";
import { ownerlessGaps } from "./ownership.ts";
import { tableOf } from "./table.ts";
import type { Step } from "./upgrade.ts";
import { judgeUpgrade, samplesOf, type Verdict } from "./verdict.ts";

interface ATask {
  readonly kind?: TaskKind;
  readonly answer?: SubmissionRecord["answer"];
  readonly retries?: number;
  readonly lane?: number;
  readonly acceptedAt?: number;
  readonly runs: readonly (Partial<Execution> & { readonly from: number; readonly until?: number })[];
}

/** What is left behind by these tasks, of which the n-th has the number n. */
function evidenceOf(...tasks: readonly ATask[]): Evidence {
  const submissions = tasks.map(({ kind = "long", answer = "accepted", acceptedAt = 0 }, index): SubmissionRecord => {
    const times = { askedAt: acceptedAt, answeredAt: acceptedAt, knownAt: acceptedAt };
    return { account: "red", taskId: `t${index}`, kind, ...times, firstAnswer: answer, answer };
  });
  const rows = tasks.map(({ runs, retries = 0, lane = 0 }, index) => {
    const names = { accountId: AccountId("red"), functionName: FunctionName("work"), taskId: TaskId(`t${index}`) };
    return {
      ...names,
      seq: index,
      queue: "q0",
      lane,
      status: "Succeeded",
      attempt: runs.length,
      retries,
      lostAttempts: 0,
    };
  });
  const executions = tasks.flatMap(({ runs }, seq) =>
    runs.map(({ from, until, ...more }, index): Execution => {
      const where = { agentId: "agent-0", incarnation: 1 };
      return { seq, attempt: index + 1, epoch: 1, ...where, startedAt: from, endedAt: until, how: "ok", ...more };
    }),
  );
  return {
    history: { ...emptyHistory(), executions, rows: rows as unknown as Task[] },
    submissions,
    skipped: 0,
    counters: {},
    from: 0,
    until: 100_000,
  };
}

const step = (service: string, from: number, until: number): Step => {
  const kind = service.startsWith("agent") ? "agent" : service.startsWith("scheduler") ? "scheduler" : "api-server";
  const farewells = [{ probe: "/readyz", said: "not ready" as const }];
  return { service, kind, to: "new", from, goneAt: until - 1_000, until, farewells };
};
const options = { drainMs: 10_000, longMsMax: 120_000, logs: [] };

const isUnmeasured = (problem: string) => problem.startsWith("not measured");
/** Most tests show one step: what it cannot measure is left to those below. */
const brokenIn = ({ broken }: Verdict) => broken.filter((problem) => !isUnmeasured(problem));

test("tasks that go on through the upgrade of a scheduler are untouched", () => {
  const evidence = evidenceOf({ runs: [{ from: 1_000, until: 60_000 }] }, { runs: [{ from: 4_000, until: 5_500 }] });
  const verdict = judgeUpgrade(evidence, [step("scheduler-0", 5_000, 9_000)], options);
  expect(verdict.steps).toMatchObject([{ running: 2, wentOn: 2, handedBack: 0, cut: 0 }]);
  expect(verdict).toMatchObject({ accepted: 2, failed: 0, lost: 0, repeated: 0 });
  expect(brokenIn(verdict)).toEqual([]);
});

test("a task that an agent hands back after its time runs again elsewhere, and no promise is broken", () => {
  const evidence = evidenceOf({
    runs: [
      { from: 1_000, until: 15_100, how: "stopped" },
      { from: 16_000, until: 80_000, agentId: "agent-1" },
    ],
  });
  const verdict = judgeUpgrade(evidence, [step("agent-0", 5_000, 18_000)], options);
  expect(verdict.steps).toMatchObject([{ running: 1, wentOn: 0, handedBack: 1, cut: 0 }]);
  expect(brokenIn(verdict)).toEqual([]);
});

test.each<[string, Step, ATask, string]>([
  [
    "handed back before its time",
    step("agent-0", 5_000, 18_000),
    {
      runs: [
        { from: 1_000, until: 9_000, how: "stopped" },
        { from: 16_000, until: 20_000, agentId: "agent-1" },
      ],
    },
    "handed back too early",
  ],
  [
    "cut by a scheduler",
    step("scheduler-0", 5_000, 9_000),
    {
      runs: [
        { from: 1_000, until: 6_000, how: "killed" },
        { from: 16_000, until: 20_000, agentId: "agent-1" },
      ],
    },
    "cut attempt",
  ],
  [
    "handed back and counted as a failure",
    step("agent-0", 5_000, 18_000),
    {
      retries: 1,
      runs: [
        { from: 1_000, until: 15_100, how: "stopped" },
        { from: 16_000, until: 20_000, agentId: "agent-1" },
      ],
    },
    "wrong end of a task",
  ],
  [
    "executed to its end twice",
    step("agent-0", 5_000, 18_000),
    {
      runs: [
        { from: 1_000, until: 6_000 },
        { from: 16_000, until: 20_000, agentId: "agent-1" },
      ],
    },
    "repetition",
  ],
  [
    "not taken",
    step("api-server-0", 5_000, 18_000),
    { answer: "unknown", runs: [{ from: 1_000, until: 6_000 }] },
    "submission failed",
  ],
])("a task that is %s breaks a promise", (_what, replaced, task, problem) => {
  const verdict = judgeUpgrade(evidenceOf(task), [replaced], options);
  expect(brokenIn(verdict)).toEqual([expect.stringContaining(problem)]);
  expect(tableOf(verdict)).toContain(`BROKEN: ${verdict.broken[0]}`);
});

test("a hand-off takes from the last start, or the first task that waits, until the next owner's first start", () => {
  const short = (lane: number, acceptedAt: number, at: number, epoch: number): ATask => {
    return { kind: "short", lane, acceptedAt, runs: [{ from: at, until: at + 10, epoch }] };
  };
  const evidence = evidenceOf(
    short(3, 100, 110, 5),
    short(3, 200, 210, 5),
    // Waits for the new owner.
    short(3, 220, 700, 8),
    short(3, 230, 720, 8),
    // Nobody waits for the one after it.
    short(3, 5_000, 5_020, 9),
    // A lane that never had another owner.
    short(17, 6_000, 6_700, 6),
  );
  const { dispatchGapMs } = judgeUpgrade(evidence, [], options);
  expect(dispatchGapMs).toEqual({ count: 2, p50: 20, p99: 480, max: 480 });
});

test("a partition has no owner from the end of one until the next take-over, whoever that is", () => {
  const line = (time: string, msg: string, partition: string) =>
    JSON.stringify({ level: "info", time: `2026-11-21T08:00:0${time}Z`, msg, partition });
  const leaves = [line("1.000", "took over a partition", "q0/-"), line("2.000", "partition ended", "q0/-"), "stopped"];
  const comes = [line("2.070", "took over a partition", "q0/-"), line("3.000", "took over a partition", "q1/-")];
  expect(ownerlessGaps([comes.join("\n"), leaves.join("\n")])).toEqual([70]);
});

test("a hand-off that takes too long breaks a promise", () => {
  const line = (time: string, msg: string) =>
    JSON.stringify({ time: `2026-11-21T08:00:0${time}Z`, msg, partition: "q0/-" });
  const log = [line("1.000", "partition ended"), line("2.500", "took over a partition")].join("\n");
  const verdict = judgeUpgrade(evidenceOf(), [], { ...options, logs: [log] });
  expect(verdict.ownerlessMs).toMatchObject({ count: 1, p99: 1_500 });
  expect(brokenIn(verdict)).toEqual(["partitions had no owner for 1500 ms (p99), more than 1000"]);
});

test("what nobody has measured is no promise that was kept", () => {
  const { broken } = judgeUpgrade(evidenceOf(), [step("scheduler-0", 5_000, 9_000)], options);
  expect(broken.filter(isUnmeasured)).toEqual([
    expect.stringContaining("runs for longer than its agent drains"),
    "not measured: how long partitions had no owner",
    expect.stringContaining("(api-server)"),
    expect.stringContaining("(scheduler)"),
    expect.stringContaining("(agent)"),
    "not measured: how long nothing was dispatched after a hand-off",
  ]);
});

test("a drill in which every kind was replaced while something ran, and partitions were handed off, is measured", () => {
  const line = (time: string, msg: string) =>
    JSON.stringify({ time: `2026-11-21T08:00:0${time}Z`, msg, partition: "q0/-" });
  const logs = [[line("1.000", "partition ended"), line("1.050", "took over a partition")].join("\n")];
  const steps = [
    step("api-server-0", 5_000, 9_000),
    step("scheduler-0", 10_000, 14_000),
    step("agent-0", 15_000, 27_000),
  ];
  const short = { kind: "short", acceptedAt: 10_000 } as const;
  const evidence = evidenceOf(
    {
      runs: [
        { from: 1_000, until: 25_100, how: "stopped" },
        { from: 26_000, until: 60_000, agentId: "agent-1" },
      ],
    },
    { ...short, runs: [{ from: 10_010, until: 10_030, epoch: 5 }] },
    { ...short, runs: [{ from: 10_100, until: 10_120, epoch: 8 }] },
  );
  expect(judgeUpgrade(evidence, steps, { ...options, logs }).broken).toEqual([]);
});

test("an attempt that begins on an agent a second after its SIGTERM breaks a promise, until it is gone", () => {
  const startAt = (from: number) => {
    const verdict = judgeUpgrade(
      evidenceOf({ runs: [{ from, until: from + 10 }] }),
      [step("agent-0", 5_000, 18_000)],
      options,
    );
    return brokenIn(verdict);
  };
  expect(startAt(5_900)).toEqual([]);
  expect(startAt(6_100)).toEqual([expect.stringContaining("begun on an agent that drains")]);
  // By the other version.
  expect(startAt(17_500)).toEqual([]);
});

test("that nothing was handed back is no measurement, unless everything was shorter than the drain", () => {
  const evidence = evidenceOf({ runs: [{ from: 1_000, until: 9_000 }] });
  const unmeasured = (longMsMax: number) =>
    judgeUpgrade(evidence, [step("agent-0", 5_000, 18_000)], { ...options, longMsMax }).broken.filter((problem) =>
      problem.includes("none was handed back"),
    );
  expect([unmeasured(10_001), unmeasured(10_000)].map(({ length }) => length)).toEqual([1, 0]);
});

test("a service that goes without a word breaks a promise; one that nobody heard is not measured", () => {
  const said = (...all: readonly ("not ready" | "refused" | "unseen")[]) => {
    const steps = all.map((each) => ({
      ...step("agent-0", 5_000, 9_000),
      farewells: [{ probe: "/readyz", said: each }],
    }));
    return judgeUpgrade(evidenceOf(), steps, options).broken.filter((problem) => /SIGTERM|refused/.test(problem));
  };
  expect(said("not ready", "unseen")).toEqual([]);
  expect(said("not ready", "refused")).toEqual([expect.stringContaining("agent-0, by its /readyz")]);
  expect(said("unseen", "unseen")).toEqual(["not measured: what /readyz of a service (agent) says after SIGTERM"]);
});

test("the table says of a hand-off which of aim and promise was met", () => {
  const short = { kind: "short", lane: 3 } as const;
  const evidence = evidenceOf(
    { ...short, acceptedAt: 100, runs: [{ from: 500, until: 510, epoch: 5 }] },
    { ...short, acceptedAt: 5_000, runs: [{ from: 6_200, until: 6_210, epoch: 8 }] },
  );
  const verdict = judgeUpgrade(evidence, [step("scheduler-0", 5_000, 9_000)], options);
  expect(verdict).toMatchObject({ gapAimMs: 1_000, dispatchGapMsMax: 1_400, dispatchGapMs: { p99: 1_200 } });
  expect(tableOf(verdict)).toMatch(/p99 ≤ 1000: missed.*p99 ≤ 1400: met/s);
  expect(brokenIn(verdict)).toEqual([]);
});

test("of few samples the largest is the 99th percentile", () => {
  expect(samplesOf([3, 1, 2])).toEqual({ count: 3, p50: 2, p99: 3, max: 3 });
});
