// The simulation must not be too kind: with a protection switched off it finds a violation.
import { setMaxListeners } from "node:events";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Control } from "./controls.ts";
import { openStoreOfRuns, type StoreOfRuns, simulate } from "./simulate.ts";

/** What breaks without each protection. */
const breaks: readonly { readonly control: Control; readonly invariants: readonly string[] }[] = [
  { control: "inventory", invariants: ["I3", "I4"] },
  { control: "store-floor", invariants: ["I6"] },
  { control: "agent-floor", invariants: ["I6"] },
  { control: "dedupe", invariants: ["I3", "I4"] },
  { control: "watchdog", invariants: ["I3"] },
  { control: "sweeper", invariants: ["I1"] },
];
const seedsMax = 60;
let store: StoreOfRuns;

beforeAll(async () => {
  setMaxListeners(0);
  store = await openStoreOfRuns();
});
afterAll(async () => {
  await store[Symbol.asyncDispose]();
});

for (const { control, invariants } of breaks) {
  test(`without "${control}" a run breaks ${invariants.join(" or ")}`, { timeout: 240_000 }, async () => {
    for (let seed = 1; seed <= seedsMax; seed++) {
      const { violations } = await simulate(store, { seed, control });
      if (violations.some(({ invariant }) => invariants.includes(invariant))) return;
    }
    expect.fail(`${seedsMax} seeds found nothing`);
  });
}
