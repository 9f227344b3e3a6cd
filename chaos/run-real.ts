// The harness of real processes.
import { openArena, probeCapabilities } from "./arena/index.ts";
import { judgeAims } from "./evidence/aims.ts";
import { judge } from "./evidence/index.ts";
import { toTimeline } from "./evidence/timeline.ts";
import { describeAim } from "./report/text.ts";
import type { Harness, Judged, JudgedRun } from "./run-harness.ts";
import { agentEnvironment, startWorkload } from "./workload/index.ts";

export const realHarness: Harness = {
  async cannot({ needs = [] }) {
    const capabilities = await probeCapabilities();
    const missing = needs.filter((need) => !capabilities.has(need));
    return missing.length > 0 ? `this host cannot do what needs ${missing.join(", ")}` : undefined;
  },
  openArena: ({ environment, ...options }) =>
    openArena({ ...options, environment: { ...environment, agent: { ...agentEnvironment, ...environment?.agent } } }),
  startWorkload: (arena, options) =>
    startWorkload({ cluster: arena.cluster, connect: (how) => arena.connect(how) }, options),
  judge: resultOf,
};

/**
 * A run passes when nothing is broken, and no aim is missed if it must meet them; a negative control, when the run itself went
 * well and what must break did.
 */
export function resultOf({ scenario, evidence, marks, failures, ...run }: Judged): JudgedRun {
  const { name, about, mustBreak = [] } = scenario;
  const { seed, conditions, profile, mustMeetAims } = run;
  const { violations: found, checked, figures } = judge(evidence, marks);
  const aims = judgeAims(scenario.aims ?? [], { figures, profile });
  // What nobody has measured was not reached.
  const missedAims = aims
    .filter(({ verdict }) => mustMeetAims && verdict !== "met")
    .map((aim) => ({ invariant: "aim", message: describeAim(aim) }));
  const isBroken = (invariant: string) => found.some((violation) => violation.invariant === invariant);
  const missed = mustBreak
    .filter((invariant) => !isBroken(invariant))
    .map((invariant) => ({ invariant: "control", message: `${invariant} holds, although it must break here` }));
  const violations = [...failures, ...missed, ...missedAims, ...found];
  return {
    scenario: name,
    about,
    seed,
    conditions,
    notRun: undefined,
    passed: mustBreak.length > 0 ? failures.length + missed.length + missedAims.length === 0 : violations.length === 0,
    violations,
    checked,
    figures,
    aims,
    marks,
    timeline: toTimeline(evidence),
  };
}
