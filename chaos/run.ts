// Scenarios one after the other, each in a cluster of its own, so that what one of them has left behind is not blamed on
// the next.
import type { Random } from "@sluice/core";
import type { Arena, ArenaOptions, Figures, LeaseProfile, RunResult, Scenario } from "./contract.ts";
import type { Harness } from "./run-harness.ts";
import { runScenario } from "./run-scenario.ts";
import { messageOf, within } from "./run-within.ts";

export interface RunOptions {
  readonly scenarios: readonly Scenario[];
  readonly seed: number;
  /** How often the scenarios that can repeat themselves do. */
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
  ended(result: RunResult, ms: number): void;
}

const openWithinMs = 240_000;

export async function runScenarios(harness: Harness, options: RunOptions): Promise<RunResult[]> {
  const { scenarios, signal, on } = options;
  const results: RunResult[] = [];
  for (const scenario of scenarios) {
    if (signal.aborted) break;
    const beganAt = performance.now();
    on.begun(scenario);
    const result = await runOne(harness, { scenario, options, beganAt });
    if (!result) break;
    results.push(result);
    on.ended(result, performance.now() - beganAt);
  }
  return results;
}

interface One {
  readonly scenario: Scenario;
  readonly options: RunOptions;
  readonly beganAt: number;
}

/** Undefined: it was interrupted. */
async function runOne(harness: Harness, { scenario, options, beganAt }: One): Promise<RunResult | undefined> {
  const { seed, repeat, profile, random, calmMs = 3_000, mustMeetAims = false, signal, on } = options;
  const arenaOptions = { ...scenario.arena, ...(profile && { leaseProfile: profile }) };
  const { leaseProfile = "default" } = arenaOptions;
  const conditions = { ...options.conditions, leaseProfile, repeat };
  const empty = { scenario: scenario.name, about: scenario.about, seed, conditions, ...nothing };
  const say = (line: string) => on.said(line, performance.now() - beganAt);
  try {
    const notRun = await harness.cannot(scenario);
    if (notRun !== undefined) return { ...empty, notRun };
    say("starting a cluster");
    await using arena = await open(harness, arenaOptions, signal);
    const ofRun = { random: random.fork(scenario.name), repeat, conditions, calmMs, signal, say };
    return await runScenario(harness, { scenario, arena, seed, profile: leaseProfile, mustMeetAims, ...ofRun });
  } catch (cause) {
    if (signal.aborted) return undefined;
    return { ...empty, violations: [{ invariant: "harness", message: messageOf(cause) }] };
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

const noGap = { submit: 0, dispatch: 0, settle: 0 };
const noFigures: Figures = {
  accepted: 0,
  rejected: 0,
  unknown: 0,
  unknownAtFirst: 0,
  skipped: 0,
  failed: 0,
  expired: 0,
  lost: 0,
  executedTwice: 0,
  overlaps: 0,
  staleWritesRefused: 0,
  announcedAgain: 0,
  longestGapMs: noGap,
  failoverMs: {},
  resumed: { running: 0, adopted: 0 },
};
const nothing = {
  notRun: undefined,
  passed: false,
  violations: [],
  checked: [],
  figures: noFigures,
  aims: [],
  marks: [],
  timeline: [],
} satisfies Partial<RunResult>;
