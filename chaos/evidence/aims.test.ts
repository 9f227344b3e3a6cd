import { expect, test } from "vitest";
import type { Aim, Figures } from "../contract.ts";
import { judgeAims } from "./aims.ts";
import { judge } from "./judge.ts";
import { anEvidence } from "./testing.ts";

const failover: Aim = { figure: "failover", fault: "crash", p99Ms: { default: 9_000, fast: 4_000 } };
const adoption: Aim = { figure: "adopted", share: 0.99 };

function figures(overrides: Partial<Figures> = {}): Figures {
  return { ...judge(anEvidence(), []).figures, ...overrides };
}

const after = (p99: number, { fault = "crash", count = 100 } = {}) =>
  figures({ failoverMs: { [fault]: { count, p50: 1, p99, max: p99 } } });
const verdictsOf = (of: Figures, profile: "default" | "fast", ...aims: readonly Aim[]) =>
  judgeAims(aims, { figures: of, profile }).map(({ verdict }) => verdict);

test("a failover is measured against the aim of its lease profile, up to and with it", () => {
  expect(verdictsOf(after(4_001), "default", failover)).toEqual(["met"]);
  expect(verdictsOf(after(4_001), "fast", failover)).toEqual(["missed"]);
  expect(verdictsOf(after(4_000), "fast", failover)).toEqual(["met"]);
});

test("adoption is measured as a share of what ran", () => {
  const adopted = (count: number) => figures({ resumed: { running: 200, adopted: count } });
  expect(verdictsOf(adopted(198), "default", adoption)).toEqual(["met"]);
  expect(verdictsOf(adopted(197), "default", adoption)).toEqual(["missed"]);
});

test("what nobody has seen is not measured, and so is a failover after another fault", () => {
  expect(verdictsOf(after(10, { fault: "stop" }), "default", failover, adoption)).toEqual([
    "not measured",
    "not measured",
  ]);
});

test("a percentile of too few samples is not measured, however good or bad it looks", () => {
  expect(verdictsOf(after(1, { count: 99 }), "default", failover)).toEqual(["not measured"]);
  expect(verdictsOf(after(60_000, { count: 1 }), "default", failover)).toEqual(["not measured"]);
});

test("a result has the figure beside the aim", () => {
  expect(judgeAims([failover, adoption], { figures: after(9_500), profile: "default" })).toEqual([
    {
      ...{ about: "failover after crash, p99", unit: "ms", aim: 9_000, verdict: "missed" },
      ...{ value: 9_500, count: 100, countMin: 100 },
    },
    {
      ...{ about: "running tasks adopted", unit: "share", aim: 0.99, verdict: "not measured" },
      ...{ value: undefined, count: 0, countMin: 1 },
    },
  ]);
});
