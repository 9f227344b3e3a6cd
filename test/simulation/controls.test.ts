// The simulation must not be too kind: without a protection it finds a violation of what the protection guards. On the same
// seed nothing of that breaks with the protection (and without those others that would have stood in for it).
import { describe, expect, test } from "vitest";
import { explained, type Mutation, mutations, optionsOf } from "../mutations/index.ts";
import { runSeeds } from "./seeds.ts";
import type { Outcome, SimulateOptions } from "./simulate.ts";

const seedsMax = 2_000;
const runsPerProcess = 20;

/** The first run of each. */
const broken: { readonly mutation: Mutation; readonly run: SimulateOptions }[] = [];

/** The first run that breaks one of the invariants, up to seed `seedsMax`, and how many were tried. */
async function search({
  name,
  proof,
}: Mutation): Promise<{ readonly tried: number; readonly found?: SimulateOptions }> {
  const options = optionsOf(proof);
  const from = proof.from ?? 1;
  const stop = new AbortController();
  let tried = 0;
  let found: SimulateOptions | undefined;
  await runSeeds({
    runs: Array.from({ length: seedsMax - from + 1 }, (_, index) => ({ ...options, seed: from + index })),
    processes: 1,
    control: name,
    signal: stop.signal,
    onOutcome(outcome, run) {
      tried++;
      if (!isBroken(outcome, proof)) return;
      found = run;
      stop.abort();
    },
  });
  return { tried, ...(found && { found }) };
}

/** What is taken out along with it. */
function othersOf({ without = [] }: Mutation): string {
  return without.join(",");
}

function isBroken({ violations }: Outcome, { breaks }: Mutation["proof"]): boolean {
  return violations.some(({ invariant }) => breaks.includes(invariant));
}

// Each in processes of its own, a few at once.
describe.concurrent("a run breaks what is not protected", { timeout: 2_400_000, retry: 0 }, () => {
  test.each(mutations)("without $name", async (mutation) => {
    const { tried, found } = await search(mutation);
    if (!found) return expect.fail(`${tried} seeds found nothing`);
    console.log(`without ${mutation.name}: ${mutation.proof.breaks.join(" or ")} breaks, seeds tried: ${tried}`);
    broken.push({ mutation, run: found });
  });
});

test("with the protection none of these runs breaks what it guards", { timeout: 2_400_000, retry: 0 }, async () => {
  // To start a process costs more than a run: those that need the same one share it.
  const anyway: string[] = [];
  for (const control of new Set(broken.map(({ mutation }) => othersOf(mutation)))) {
    const found = broken.filter(({ mutation }) => othersOf(mutation) === control);
    const mutationOf = new Map(found.map(({ mutation, run }) => [run, mutation]));
    await runSeeds({
      ...{ runs: [...mutationOf.keys()], processes: Math.ceil(found.length / runsPerProcess), control },
      onOutcome(outcome, run) {
        const { name, proof } = mutationOf.get(run) as Mutation;
        if (isBroken(outcome, proof)) anyway.push(`${name}: seed ${run.seed}`);
      },
    });
  }
  expect(anyway).toEqual([]);
  expect(broken).toHaveLength(mutations.length);
});

test("every other protection is explained", () => {
  for (const { name, about } of explained) {
    console.log(`${name}: ${about}`);
    expect(about).not.toBe("");
  }
});
