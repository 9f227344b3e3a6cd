// Scenarios one after the other, each in a cluster of its own, so that what one of them has left behind is not blamed on
// the next.
import type { Random } from "@sluice/core";
import type { Arena, ArenaOptions, LeaseProfile, RunResult, Scenario } from "./contract.ts";
import type { Harness, JudgedRun } from "./run-harness.ts";
import { runScenario } from "./run-scenario.ts";
import { unjudged } from "./run-unjudged.ts";
import { messageOf, within } from "./run-within.ts";

export interface RunOptions {
  readonly scenarios: readonly Scenario[];
  readonly seed: number;
  /** How often the scenarios that can repeat themselves do; the others break things once. */
  readonly repeat: number;
  /** Replaces the lease profile of every scenario. */
  readonly profile?: LeaseProfile | undefined;
  /** Whether a run fails that misses an aim; default: no. */
  readonly mustMeetAims?: boolean;
  readonly random: Random;
  /** Facts about this run for the report, such as the versions of what took part. */
  readonly conditions: RunResult["conditions"];
  /** How long each run goes on without a fault first, for comparison; default 3,000. */
  readonly calmMs?: number;
  /** Ends the run under way; those that are over are returned. */
  readonly signal: AbortSignal;
  readonly on: RunEvents;
}

export interface RunEvents {
  /** A scenario begins. */
  begun(scenario: Scenario): void;
  /** Something happens in it, `ms` after it began. */
  said(line: string, ms: number): void;
  ended(result: RunResult): void;
}

const openWithinMs = 240_000;

export async function runScenarios(harness: Harness, options: RunOptions): Promise<RunResult[]> {
  const { scenarios, signal, on } = options;
  const results: RunResult[] = [];
  for (const scenario of scenarios) {
    if (signal.aborted) break;
    const beganAt = performance.now();
    on.begun(scenario);
    const judged = await runOne(harness, { scenario, options, beganAt });
    if (!judged) break;
    const result = { ...judged, tookMs: performance.now() - beganAt };
    results.push(result);
    on.ended(result);
  }
  return results;
}

interface One {
  readonly scenario: Scenario;
  readonly options: RunOptions;
  readonly beganAt: number;
}

/** Undefined: it was interrupted. */
async function runOne(harness: Harness, { scenario, options, beganAt }: One): Promise<JudgedRun | undefined> {
  const { seed, profile, random, calmMs = 3_000, mustMeetAims = false, signal, on } = options;
  const repeat = scenario.repeats ? options.repeat : 1;
  const arenaOptions = { ...scenario.arena, ...(profile && { leaseProfile: profile }) };
  const { leaseProfile = "default" } = arenaOptions;
  const conditions = { ...options.conditions, leaseProfile, repeat };
  const say = (line: string) => on.said(line, performance.now() - beganAt);
  try {
    const notRun = await harness.cannot(scenario);
    if (notRun !== undefined) return unjudged({ scenario, seed, conditions, facts: { notRun } });
    say("starting a cluster");
    await using arena = await open(harness, arenaOptions, signal);
    const ofRun = { random: random.fork(scenario.name), repeat, conditions, calmMs, signal, say };
    return await runScenario(harness, { scenario, arena, seed, profile: leaseProfile, mustMeetAims, ...ofRun });
  } catch (cause) {
    if (signal.aborted) return undefined;
    const violations = [{ invariant: "harness", message: messageOf(cause) }];
    return unjudged({ scenario, seed, conditions, facts: { violations } });
  }
}

/** One that comes too late is ended at once. */
async function open(harness: Harness, options: ArenaOptions, signal: AbortSignal): Promise<Arena> {
  const opened = harness.openArena({ ...options, signal });
  try {
    return await within(opened, { ms: openWithinMs, what: "the start of the cluster", signal });
  } catch (cause) {
    void opened.then(
      (arena) => arena[Symbol.asyncDispose](),
      () => undefined,
    );
    throw cause;
  }
}
