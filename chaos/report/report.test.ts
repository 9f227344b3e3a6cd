import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import type { Figures, RunResult } from "../contract.ts";
import { describeResult, tableOf, writeReport } from "./index.ts";

const folder = mkdtempSync(join(tmpdir(), "sluice-test-"));
afterAll(() => rmSync(folder, { recursive: true }));

const figures: Figures = {
  accepted: 4_321,
  rejected: 2,
  unknown: 0,
  unknownAtFirst: 17,
  skipped: 0,
  failed: 2,
  expired: 31,
  lost: 0,
  executedTwice: 0,
  overlaps: 0,
  staleWritesRefused: 5,
  steppedDown: 8,
  announcedAgain: 6,
  longestGapMs: { submit: 820, dispatch: 4_210, settle: 130_000 },
  failoverMs: { crash: { count: 12, p50: 2_310, p99: 2_950, max: 2_950 } },
  resumed: { running: 312, adopted: 310 },
};

function aResult(overrides: Partial<RunResult> = {}): RunResult {
  return {
    scenario: "scheduler-crash",
    about: "a scheduler is killed",
    seed: 9,
    conditions: { node: "v20", cpus: 2 },
    notRun: undefined,
    passed: true,
    violations: [],
    checked: ["I1", "executed-twice"],
    figures,
    aims: [
      {
        ...{ about: "failover after crash, p99", unit: "ms", aim: 9_000, verdict: "not measured" },
        ...{ value: 2_950, count: 12, countMin: 100 },
      },
      {
        ...{ about: "failover after stop, p99", unit: "ms", aim: 1_000, verdict: "met" },
        ...{ value: 310, count: 112, countMin: 100 },
      },
      {
        ...{ about: "running tasks adopted", unit: "share", aim: 0.999, verdict: "missed" },
        ...{ value: 310 / 312, count: 312, countMin: 1 },
      },
    ],
    tookMs: 61_000,
    marks: [{ kind: "crash", where: "scheduler-0", from: 12_000, until: 15_000 }],
    timeline: Array.from({ length: 10 }, (_, index) => ({
      at: 10_000 + 1_000 * index,
      accepted: 40,
      refused: 0,
      started: index,
      ended: index,
      submitP50: 4,
      submitP99: index === 3 ? undefined : 1_200,
    })),
    ...overrides,
  };
}

const hostile = `</style><script>alert("1")</script><img src=x onerror='y'>`;
const failed = aResult({
  scenario: "agent-cut",
  passed: false,
  violations: [{ invariant: "I3", message: "task 7 attempt 2 started at 5 ms" }],
});
const notRun = aResult({ scenario: "one-way", passed: false, notRun: "this host cannot do what needs netns" });

async function pageOf(...results: readonly RunResult[]): Promise<string> {
  return readFileSync((await writeReport(results, join(folder, "deep", "report"))).html, "utf8");
}

describe("the page", () => {
  test("has verdict, figures, conditions, violations and a picture of every run", async () => {
    const page = await pageOf(aResult(), failed, notRun);

    for (const fact of [
      ...["scheduler-crash", "a scheduler is killed", "4,321", "2.3 s / 3.0 s / 3.0 s (12)", "99.4 % (310 of 312)"],
      ...[
        "820 ms",
        "4.2 s",
        "130 s",
        "v20",
        "task 7 attempt 2 started at 5 ms",
        "this host cannot do what needs netns",
      ],
      ...[
        "1 passed, 1 failed, 1 not run.",
        "I1, executed-twice",
        ">crash scheduler-0</text>",
        ">tasks per second</text>",
      ],
    ]) {
      expect(page).toContain(fact);
    }
    const verdicts = [...page.matchAll(/class="verdict ([\w ]+)"/g)].map(([, verdict]) => verdict);
    expect(verdicts).toEqual(["passed", "failed", "not run", "passed", "failed", "not run"]);
    expect(page.match(/<svg/g)).toHaveLength(2);
  });

  test("says that nothing is lost only if something ran, and all went well", async () => {
    const praise = "nothing is lost";
    expect(await pageOf(aResult(), notRun)).toContain(`1 passed, 0 failed, 1 not run: ${praise}, nothing ran twice`);
    expect(await pageOf(notRun)).toContain("0 passed, 0 failed, 1 not run.");
    for (const results of [[notRun], [aResult(), failed], [{ ...failed, passed: true }]]) {
      expect(await pageOf(...results)).not.toContain(praise);
    }
  });

  test("says that a control breaks as it must", async () => {
    const control = { ...failed, passed: true };
    expect(await pageOf(control)).toContain("1 violation, as it must");
    expect([tableOf([control]), describeResult(control)].join("")).toMatch(/as it must.*as it must/s);
    expect(await pageOf(failed)).not.toContain("as it must");
  });

  test("needs nothing from anywhere", async () => {
    const page = await pageOf(aResult());
    const withoutNames = page.replaceAll(/xmlns(?::\w+)?="http:[^"]*"/g, "");
    expect(withoutNames).not.toMatch(/https?:|src=|url\((?!#)|@import|<script|<link/);
  });

  test("shows text as text, whoever wrote it", async () => {
    const page = await pageOf(
      aResult({
        scenario: hostile,
        about: hostile,
        conditions: { [hostile]: hostile },
        checked: [hostile],
        violations: [{ invariant: hostile, message: hostile }],
        marks: [{ kind: hostile, where: hostile, from: 11_000, until: undefined }],
      }),
      aResult({ notRun: hostile }),
    );
    expect(page).not.toMatch(/<script|<img/);
    expect(page.match(/<\/style>/g)?.length).toBe(page.match(/<style/g)?.length);
    expect(page).toContain("&lt;img src=x onerror=&#39;y&#39;&gt;");
  });

  test("can be made of a run without faults and without time", async () => {
    expect(await pageOf(aResult({ marks: [], timeline: [] }))).toContain("<svg");
  });
});

test("the JSON has the runs as they are", async () => {
  const { json } = await writeReport([aResult(), failed], folder);
  const { results } = JSON.parse(readFileSync(json, "utf8")) as { readonly results: readonly RunResult[] };
  expect(results).toMatchObject([{ scenario: "scheduler-crash", figures }, { violations: failed.violations }]);
});

test("every form of the report has the figures beside their aims", async () => {
  const { text, html, json } = await writeReport([aResult()], folder);
  const content = readFileSync(text, "utf8");
  for (const fact of ["aim ≤ 9.0 s: not measured, 12 of 100", "aim ≤ 1.0 s: met", "aim ≥ 99.9 %: missed"])
    expect(content).toContain(fact);
  for (const form of [content, readFileSync(html, "utf8")]) {
    expect(form).toMatch(/aim: failover after crash, p99 ≤ 9\.0 s.*not measured: 12 of 100/);
    expect(form).toMatch(/aim: failover after stop, p99 ≤ 1\.0 s.*met, 310 ms \(112\)/);
    expect(form).toMatch(/aim: running tasks adopted ≥ 99\.9 %.*missed, 99\.4 % \(312\)/);
  }
  const { results } = JSON.parse(readFileSync(json, "utf8")) as { readonly results: readonly RunResult[] };
  expect(results[0]?.aims).toMatchObject([
    { value: 2_950, verdict: "not measured" },
    { verdict: "met" },
    { verdict: "missed" },
  ]);
});

test("the text has a table with a row per run, and each run with its figures", async () => {
  const { text } = await writeReport([aResult(), failed, notRun], folder);
  const content = readFileSync(text, "utf8");
  expect(content).toContain(tableOf([aResult(), failed, notRun]));
  expect(content).toContain(describeResult(failed));
  expect(describeResult(failed)).toContain("agent-cut: failed");
  expect(describeResult(failed)).toContain("! I3: task 7 attempt 2 started at 5 ms");
  expect(describeResult(notRun)).toBe("one-way: not run, this host cannot do what needs netns");
  expect(tableOf([aResult(), failed, notRun])).toMatch(
    /61\.0 s .*1 passed, 1 failed, 1 not run; everything took 183 s$/s,
  );
  expect(tableOf([notRun])).toContain("not run: this host cannot do what needs netns");
});
