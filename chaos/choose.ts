// Which scenarios a command line asks for.
import type { Scenario } from "./contract.ts";
import type { Options } from "./options.ts";
import { randomFaults, scenarios } from "./scenarios/index.ts";
import { brisk } from "./scenarios/workloads.ts";

export type Choice = Pick<Options, "scenario" | "all" | "fast" | "random" | "minutes" | "quick">;

/** In the order of the list; with the shorter tasks of `--fast` and `--quick`. Those that nobody knows are named in `unknown`. */
export function choose({ scenario, all, fast, random, minutes, quick }: Choice): {
  readonly chosen: readonly Scenario[];
  readonly unknown: readonly string[];
} {
  const known = new Set(scenarios.map(({ name }) => name));
  const named = scenarios.filter(({ name, isFast }) => all || (fast && isFast) || scenario.includes(name));
  const chosen = random ? [...named, randomFaults(minutes * 60_000)] : named;
  return {
    chosen: fast || quick ? chosen.map((each) => ({ ...each, workload: { ...each.workload, ...brisk } })) : chosen,
    unknown: scenario.filter((name) => !known.has(name)),
  };
}
