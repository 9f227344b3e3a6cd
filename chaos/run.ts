// Scenarios one after the other. A cluster takes ten seconds to start, so the next scenario gets the last one's when it asks
// for the same and that has passed.
import type { Random } from "@sluice/core";
import { systemRandom } from "@sluice/runtime";
import type { Arena, ArenaOptions, Figures, RunResult, Scenario } from "./contract.ts";
import type { Harness } from "./run-harness.ts";
import { runScenario } from "./run-scenario.ts";
import { messageOf, within } from "./run-within.ts";

export interface RunOptions {
  readonly scenarios: readonly Scenario[];
  readonly seed: number;
  /** How often the scenarios that can repeat themselves do. */
  readonly repeat: number;
  /** Replaces the lease profile of every scenario. */
  readonly profile?: "default" | "fast" | undefined;
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
  await using arenas = new Arenas(harness, signal);
  for (const scenario of scenarios) {
    if (signal.aborted) break;
    const beganAt = performance.now();
    on.begun(scenario);
    const result = await runOne(harness, arenas, { scenario, options, beganAt });
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
async function runOne(
  harness: Harness,
  arenas: Arenas,
  { scenario, options, beganAt }: One,
): Promise<RunResult | undefined> {
  const { seed, repeat, profile, random, calmMs = 3_000, signal, on } = options;
  const arenaOptions = { ...scenario.arena, ...(profile && { leaseProfile: profile }) };
  const { leaseProfile = "default" } = arenaOptions;
  const conditions = { ...options.conditions, leaseProfile, repeat };
  const empty = { scenario: scenario.name, about: scenario.about, seed, conditions, ...nothing };
  const say = (line: string) => on.said(line, performance.now() - beganAt);
  try {
    const notRun = await harness.cannot(scenario);
    if (notRun !== undefined) return { ...empty, notRun };
    const arena = await arenas.get(arenaOptions, say);
    const run = { scenario, arena, seed, random: random.fork(scenario.name), repeat, conditions, calmMs, signal, say };
    const { result, isHealed } = await runScenario(harness, run);
    if (!result.passed || !isHealed) await arenas.drop();
    return result;
  } catch (cause) {
    await arenas.drop();
    if (signal.aborted) return undefined;
    return { ...empty, violations: [{ invariant: "harness", message: messageOf(cause) }] };
  }
}

/** Keeps the last arena. */
class Arenas implements AsyncDisposable {
  readonly #harness: Harness;
  readonly #signal: AbortSignal;
  #kept: { readonly arena: Arena; readonly key: string } | undefined;

  constructor(harness: Harness, signal: AbortSignal) {
    this.#harness = harness;
    this.#signal = signal;
  }

  async get(options: ArenaOptions, say: (line: string) => void): Promise<Arena> {
    const key = keyOf(options);
    if (this.#kept && this.#kept.key === key) return this.#kept.arena;
    await this.drop();
    say("starting a cluster");
    const opened = this.#harness.openArena({ ...options, signal: this.#signal });
    // One that comes too late must not stay.
    let isLate = false;
    void opened.then(
      async (arena) => {
        if (isLate) await arena[Symbol.asyncDispose]();
      },
      () => undefined,
    );
    try {
      const arena = await within(opened, { ms: openWithinMs, what: "the start of the cluster", signal: this.#signal });
      this.#kept = { arena, key };
      return arena;
    } catch (cause) {
      isLate = true;
      throw cause;
    }
  }

  async drop(): Promise<void> {
    const kept = this.#kept;
    this.#kept = undefined;
    await kept?.arena[Symbol.asyncDispose]();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.drop();
  }
}

/** Equal for equal options. Functions cannot be compared, and are never equal. */
function keyOf(options: ArenaOptions): string {
  const parts = Object.entries(options).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify(parts, (_name, value) => (typeof value === "function" ? systemRandom.hex(8) : value));
}

const noGap = { submit: 0, dispatch: 0, settle: 0 };
const noFigures: Figures = {
  accepted: 0,
  rejected: 0,
  unknown: 0,
  unknownAtFirst: 0,
  skipped: 0,
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
  marks: [],
  timeline: [],
} satisfies Partial<RunResult>;
