import { type Task, TaskId } from "@sluice/core";
import { describe, expect, test } from "vitest";
import type { FaultMark, TaskKind } from "../contract.ts";
import { factsOf } from "./facts.ts";
import { failovers, resumed } from "./failover.ts";
import { longestGap } from "./gaps.ts";
import { judge } from "./judge.ts";
import { percentile, samplesOf } from "./samples.ts";
import { aLife, anEvidence, anExecution, aRecord, aRow } from "./testing.ts";
import { toTimeline } from "./timeline.ts";

/** Short tasks by number, each with when it was asked for, started, and under which epoch. */
function tasks(
  ...all: readonly { readonly askedAt: number; readonly at: number; readonly epoch: number; readonly lane?: number }[]
) {
  return anEvidence({
    submissions: all.map(({ askedAt }, index) =>
      aRecord({ taskId: `short-${index + 1}`, askedAt, answeredAt: askedAt + 5 }),
    ),
    history: {
      rows: all.map(({ lane = 0 }, index) => aRow({ seq: index + 1, taskId: TaskId(`short-${index + 1}`), lane })),
      executions: all.map(({ at, epoch }, index) =>
        anExecution({ seq: index + 1, epoch, startedAt: at, endedAt: at + 10 }),
      ),
    },
  });
}

const mark: FaultMark = {
  kind: "crash",
  where: "scheduler-0",
  from: 2_000,
  until: 9_000,
  partitions: [{ queue: "q0", prefix: "0" }],
};
const msOf = (evidence: ReturnType<typeof tasks>, ...marks: readonly FaultMark[]) =>
  failovers(factsOf(evidence, marks)).map(({ ms }) => ms);

describe("failover", () => {
  const before = { askedAt: 1_900, at: 1_910, epoch: 5 };
  test("lasts from the fault to the first start under a later epoch", () => {
    const late = { askedAt: 1_990, at: 2_010, epoch: 5 };
    const next = { askedAt: 2_100, at: 4_500, epoch: 8 };
    expect(msOf(tasks(before, late, next, { ...next, at: 4_900 }), mark)).toEqual([2_500]);
  });
  test("counts only lanes of the partition", () => {
    const elsewhere = { askedAt: 2_100, at: 2_200, epoch: 9, lane: 16 };
    expect(msOf(tasks(before, elsewhere, { askedAt: 2_100, at: 4_000, epoch: 8, lane: 15 }), mark)).toEqual([2_000]);
  });
  test("is not known where the owners cannot be told apart, or nothing came", () => {
    expect(msOf(tasks({ askedAt: 2_100, at: 4_000, epoch: 8 }), mark)).toEqual([undefined]);
    expect(msOf(tasks(before), mark)).toEqual([undefined]);
  });
  test("each fault has its own, also when one partition is hit again", () => {
    const again = { ...mark, from: 6_000 };
    const starts = [before, { askedAt: 2_100, at: 4_000, epoch: 8 }, { askedAt: 6_100, at: 9_000, epoch: 11 }];
    expect(msOf(tasks(...starts), mark, again)).toEqual([2_000, 3_000]);
  });
  test("in order, lasts as long as something waited and nobody started it", () => {
    const stop = { ...mark, kind: "stop" };
    const last = { askedAt: 2_300, at: 2_310, epoch: 5 };
    expect(msOf(tasks(before, last, { askedAt: 2_350, at: 2_900, epoch: 8 }), stop)).toEqual([550]);
    expect(msOf(tasks(before, last, { askedAt: 2_200, at: 2_900, epoch: 8 }), stop)).toEqual([590]);
  });
  test("in order, does not count what waits for others of its function", () => {
    const stop = { ...mark, kind: "stop" };
    const last = { askedAt: 2_300, at: 2_310, epoch: 5 };
    const evidence = tasks(before, last, { askedAt: 2_200, at: 2_900, epoch: 8 });
    const limited = evidence.submissions.map((record) => ({ ...record, kind: "limited" as const }));
    expect(msOf({ ...evidence, submissions: limited }, stop)).toEqual([0]);
  });
  test("is summed up by kind", () => {
    const evidence = tasks(before, { askedAt: 2_100, at: 4_500, epoch: 8 });
    expect(judge(evidence, [mark, { kind: "cut", where: "a > b", from: 1, until: 2 }]).figures.failoverMs).toEqual({
      crash: { count: 1, p50: 2_500, p99: 2_500, max: 2_500 },
    });
  });
});

describe("what ran when its owner went", () => {
  const running = anExecution({ startedAt: 1_500, endedAt: 5_000 });
  const of = (
    execution: typeof running,
    { attempt = 1, status = "Succeeded", downAt, kind = "long", lane = 0, more = [] }: Partial<Circumstances> = {},
  ) =>
    resumed(
      factsOf(
        anEvidence({
          submissions: [aRecord({ kind })],
          history: { executions: [execution], rows: [aRow({ attempt, status, lane })], lives: [aLife({ downAt })] },
        }),
        [mark, ...more],
      ),
    );
  interface Circumstances {
    readonly attempt: number;
    readonly status: Task["status"];
    readonly downAt: number;
    readonly kind: TaskKind;
    readonly lane: number;
    readonly more: readonly FaultMark[];
  }
  const isAdopted = { running: 1, adopted: 1 };
  const isNot = { running: 1, adopted: 0 };
  const doesNotCount = { running: 0, adopted: 0 };

  test("is adopted when it ends as the same attempt", () => {
    expect(of(running)).toEqual(isAdopted);
    expect(of({ ...running, how: "failed" }, { attempt: 2 })).toEqual(isAdopted);
    expect(of({ ...running, how: "killed" }, { attempt: 2, kind: "crashing" })).toEqual(isAdopted);
  });
  test("is not when it was killed, or its result did not count", () => {
    expect(of({ ...running, how: "killed" })).toEqual(isNot);
    expect(of(running, { attempt: 2 })).toEqual(isNot);
  });
  test("is not when its failure was never recorded", () => {
    const failed = { ...running, how: "failed" } as const;
    expect(of(failed, { status: "Failed" })).toEqual(isAdopted);
    for (const status of ["Succeeded", "Running", "Expired"] as const) expect(of(failed, { status })).toEqual(isNot);
  });
  test("is not when it was stopped, unless its client asked for that", () => {
    const stopped = { ...running, how: "stopped" } as const;
    expect(of(stopped, { attempt: 2 })).toEqual(isNot);
    expect(of(stopped, { kind: "stopped" })).toEqual(isAdopted);
  });
  test("does not count on an agent that died or was told to leave, in other lanes, and at another time", () => {
    expect(of(running, { downAt: 4_000 })).toEqual(doesNotCount);
    const leave: FaultMark = { kind: "upgrade", where: "agent-0", from: 4_000, until: 6_000 };
    expect(of({ ...running, how: "stopped" }, { attempt: 2, more: [leave] })).toEqual(doesNotCount);
    expect(of({ ...running, startedAt: 2_001 })).toEqual(doesNotCount);
    expect(of({ ...running, endedAt: 1_999 })).toEqual(doesNotCount);
    expect(of(running, { lane: 16 })).toEqual(doesNotCount);
  });
});

describe("the longest gap", () => {
  test("is the longest time without a step while one was possible", () => {
    const steps = [
      { from: 0, at: 10 },
      { from: 20, at: 100 },
      { from: 90, at: 110 },
    ];
    expect(longestGap(steps)).toBe(80);
  });
  test("does not count time in which there was nothing to do", () => {
    expect(
      longestGap([
        { from: 0, at: 5 },
        { from: 1_000, at: 1_010 },
      ]),
    ).toBe(10);
  });
  test("counts what others did meanwhile as steps", () => {
    expect(
      longestGap([
        { from: 0, at: 100 },
        { from: 0, at: 40 },
        { from: 60, at: 61 },
      ]),
    ).toBe(40);
  });
  test("of nothing is none", () => {
    expect(longestGap([])).toBe(0);
  });
  test("is that of submissions, starts and settlements", () => {
    const rows = [aRow({ endedAt: 1_001_030 })];
    const { submit, dispatch, settle } = judge(anEvidence({ history: { rows } }), []).figures.longestGapMs;
    expect([submit, dispatch, settle]).toEqual([5, 10, 5]);
  });
});

test("percentiles are values that occurred", () => {
  const values = Array.from({ length: 100 }, (_, index) => 100 - index);
  expect(samplesOf(values)).toEqual({ count: 100, p50: 50, p99: 99, max: 100 });
  expect(samplesOf([7])).toEqual({ count: 1, p50: 7, p99: 7, max: 7 });
  expect([samplesOf([]), percentile([], 50)]).toEqual([undefined, undefined]);
});

test("the timeline counts second by second", () => {
  const evidence = anEvidence({
    submissions: [
      aRecord({ askedAt: 1_000, answeredAt: 1_040 }),
      aRecord({ askedAt: 1_100, answeredAt: 2_100, firstAnswer: "unknown", knownAt: 2_900 }),
      aRecord({ askedAt: 2_500, answeredAt: 2_501, answer: "rejected", firstAnswer: "rejected" }),
    ],
    history: {
      executions: [anExecution({ startedAt: 1_050, endedAt: 2_050 }), anExecution({ startedAt: 2_100, how: "killed" })],
    },
  });
  const none = { accepted: 0, refused: 0, started: 0, ended: 0 };
  expect(toTimeline(evidence)).toEqual([
    { ...none, at: 1_000, accepted: 1, started: 1, submitP50: 40, submitP99: 40 },
    { ...none, at: 2_000, accepted: 1, refused: 1, started: 1, ended: 1, submitP50: 1, submitP99: 1 },
  ]);
});
