import { expect, test } from "vitest";
import { drive, policies } from "./drive.ts";
import { judge, recoverySeconds } from "./judge.ts";
import { scenarios } from "./scenarios.ts";

const settledAfter = 30;

test.each(scenarios.filter(({ changesAt }) => !changesAt))(
  "$name: as much of it is used, and as little refused, as is promised",
  (scenario) => {
    const { goodputMin = 0.9, errorsMax = 0.05 } = scenario;
    const verdict = judge(drive("adaptive", scenario), settledAfter);
    expect(verdict.goodput).toBeGreaterThanOrEqual(goodputMin);
    expect(verdict.errors).toBeLessThan(errorsMax);
  },
);

test.each(scenarios.filter(({ name }) => /^(50|200)\/s, (no burst|retry)/.test(name)))(
  "$name: that holds whatever the phase of its windows",
  (scenario) => {
    const { goodputMin = 0.9, errorsMax = 0.05 } = scenario;
    for (let seed = 2; seed <= 10; seed++) {
      const verdict = judge(drive("adaptive", { ...scenario, seed }), settledAfter);
      expect(verdict.goodput).toBeGreaterThanOrEqual(goodputMin);
      expect(verdict.errors).toBeLessThan(errorsMax);
    }
  },
);

test("refusals that take long do not take the slots of what would be accepted", () => {
  const scenario = scenarios.find(({ name }) => name === "50/s, no burst");
  if (!scenario) throw new Error("no such scenario");
  const samples = drive("adaptive", { ...scenario, refusalMs: 200, seconds: 240 });
  expect(judge(samples, 90).goodput).toBeGreaterThanOrEqual(0.9);
  expect(judge(samples, 90).errors).toBeLessThan(0.05);
});

test.each(scenarios.filter(({ name }) => name.startsWith("50 to 500")))(
  "$name: the dispatch follows within 60 s, up and down",
  (scenario) => {
    for (let seed = 1; seed <= 5; seed++) {
      const samples = drive("adaptive", { ...scenario, seed });
      expect(judge(samples, settledAfter, 60).goodput).toBeGreaterThanOrEqual(0.9);
      expect(judge(samples, 120, 150).goodput).toBeGreaterThanOrEqual(0.9);
      expect(judge(samples, 180).goodput).toBeGreaterThanOrEqual(0.9);
      expect(judge(samples, 180).errors).toBeLessThan(0.05);
      expect(recoverySeconds(samples, 60)).toBeLessThan(60);
    }
  },
);

test.each([0, 200])(
  "an outage is probed about twice a second, and over in less than a minute, with rows read in %i ms",
  (readMs) => {
    const scenario = scenarios.find(({ name }) => name.includes("nothing from 60"));
    if (!scenario) throw new Error("no such scenario");
    const samples = drive("adaptive", { ...scenario, readMs });
    expect(judge(samples, 75, 120).refusedPerSecond).toBeLessThan(5);
    expect(recoverySeconds(samples, 120)).toBeLessThan(60);
  },
);

test("plain AIMD and no control refuse many times more of a downstream with 50/s", () => {
  const scenario = { ...scenarios.find(({ name }) => name === "50/s"), seconds: 40 };
  if (!scenario.downstream) throw new Error("no such scenario");
  const { downstream } = scenario;
  const [adaptive, aimd, none] = policies.map((policy) =>
    judge(drive(policy, { ...scenario, downstream, slots: 100 }), settledAfter),
  );
  expect(adaptive?.errors).toBeLessThan(0.05);
  expect(aimd?.errors).toBeGreaterThan(0.3);
  expect(none?.errors).toBeGreaterThan(0.9);
});
