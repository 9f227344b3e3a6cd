// The simulation must not be too kind: without a protection it finds a violation, of the invariants that the protection guards.
import { describe, expect, test } from "vitest";
import { type Mutation, mutations } from "../mutations/index.ts";
import { runSeeds } from "./seeds.ts";
import type { Outcome } from "./simulate.ts";

const seedsMax = 2_000;

/** The first seed with a violation of these invariants, and how many were tried. */
async function search({
  name,
  proof,
}: Mutation): Promise<{ readonly tried: number; readonly found: Outcome | undefined }> {
  const stop = new AbortController();
  const { breaks, from = 1, ...options } = proof;
  let tried = 0;
  let found: Outcome | undefined;
  await runSeeds({
    runs: Array.from({ length: seedsMax }, (_, index) => ({ ...options, seed: from + index })),
    processes: 1,
    control: name,
    signal: stop.signal,
    onOutcome(outcome) {
      tried++;
      if (!outcome.violations.some(({ invariant }) => breaks.includes(invariant))) return;
      found = outcome;
      stop.abort();
    },
  });
  return { tried, found };
}

// Each in a process of its own, as many at once as there are processors for the tests.
describe.concurrent("without a protection a run breaks what it guards", { timeout: 900_000 }, () => {
  test.each(mutations)("$name", async (mutation) => {
    const { tried, found } = await search(mutation);
    expect(found, `${tried} seeds found nothing`).toBeDefined();
  });
});
