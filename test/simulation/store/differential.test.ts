// The model says what the SQL says, whatever is asked in whatever order.
import { FakeClock, seededRandom } from "@sluice/core/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createDice } from "../dice.ts";
import { type Answer, type Call, comparable, perform } from "./calls.ts";
import { createModelStore } from "./model-store.ts";
import { RandomCalls } from "./random-calls.ts";
import { openStoreOfRuns, type StoreOfRuns } from "./store-of-runs.ts";
import { createTables } from "./tables.ts";

const seeds = [1, 2, 3, 4, 5, 6, 7, 8];
const callsPerSeed = 1_000;
let pglite: StoreOfRuns;

beforeAll(async () => {
  pglite = await openStoreOfRuns("pglite");
});
afterAll(() => pglite[Symbol.asyncDispose]());

test(`${callsPerSeed} random calls are answered alike by the model and by SQL, with ${seeds.length} seeds`, async () => {
  const met = new Set<string>();
  for (const seed of seeds) {
    const clock = new FakeClock();
    const dice = createDice(seededRandom(seed));
    const sql = (await pglite.reset())(clock);
    const tables = createTables();
    const model = createModelStore({ clock, tables });
    const calls = new RandomCalls(dice, tables, () => clock.now());
    for (let nth = 0; nth < callsPerSeed; nth++) {
      clock.jump(dice.pick([0, 1, dice.between(1, 1_000)]));
      const call = calls.next();
      const said = await perform(sql, call);
      const saidByModel = await perform(model, call);
      const what = `seed ${seed}, call ${nth}: ${JSON.stringify(call)}`;
      expect(comparable(call, saidByModel), what).toEqual(comparable(call, said));
      met.add(summaryOf(call, said));
    }
  }
  // Otherwise nothing was compared: the calls of owners were stale, the ids unknown.
  const kinds = ["insert inserted", "insert duplicate", "insert repeated", "INVALID_TEXT", "purge some", "get some"];
  const ofOwners = ["read", "write", "unpark", "sweep", "touch", "marked", "purge", "parkOverflow", "expire"].map(
    (method) => `${method} stale`,
  );
  const ofExpiry = ["parkOverflow", "unparkOverflow", "overflowFlows", "expire"];
  const some = ["read", "write", "unpark", "touch", "marked", "list", "renew", "keys", ...ofExpiry].map(
    (method) => `${method} some`,
  );
  const batches = ["stop", "mark", "matching", "heed", "resume"].map((method) => `${method} some`);
  const both = ["raiseFloor", "fence", "markDead", "delete", "createKey"].flatMap((method) => [
    `${method} true`,
    `${method} false`,
  ]);
  expect([...kinds, ...ofOwners, ...some, ...batches, ...both].filter((summary) => !met.has(summary))).toEqual([]);
});

function summaryOf([, method, first]: Call, answer: Answer): string {
  if ("failure" in answer) return answer.failure;
  const { value } = answer;
  if (method === "insert" && Array.isArray(first) && first.length > 0) {
    const outcomes = (value as readonly { readonly kind: string }[]).map(({ kind }) => kind);
    return `insert ${outcomes.toSorted().at(-1)}`;
  }
  if (value === "stale" || typeof value === "boolean") return `${method} ${value}`;
  const isNone = value === undefined || value === 0 || (Array.isArray(value) && value.length === 0);
  return `${method} ${isNone ? "none" : "some"}`;
}
