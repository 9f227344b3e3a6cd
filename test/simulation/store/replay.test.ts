// A simulated run on the real SQL: it is the run that the model gives, and the model answers every one of its calls alike.
import { setMaxListeners } from "node:events";
import type { EpochMs } from "@sluice/core";
import { FakeClock } from "@sluice/core/testing";
import type { Store } from "@sluice/store";
import { afterAll, beforeAll, expect, test } from "vitest";
import { simulate } from "../simulate.ts";
import { type Answer, type Call, comparable, perform } from "./calls.ts";
import { createModelStore } from "./model-store.ts";
import { openStoreOfRuns, type StoreOfRuns } from "./store-of-runs.ts";

interface Recorded {
  readonly at: EpochMs;
  readonly call: Call;
  readonly answer: Answer;
}

let pglite: StoreOfRuns;
let model: StoreOfRuns;

beforeAll(async () => {
  setMaxListeners(0);
  pglite = await openStoreOfRuns("pglite");
  model = await openStoreOfRuns("model");
});
afterAll(() => pglite[Symbol.asyncDispose]());

test.each([1, 2, 3])("seed %i is the same run on SQL and on the model, call by call", async (seed) => {
  const recorded: Recorded[] = [];
  const recording: StoreOfRuns = {
    async reset() {
      const open = await pglite.reset();
      return (clock) => recordingStore(open(clock), () => clock.now(), recorded);
    },
    [Symbol.asyncDispose]: async () => {},
  };

  const onSql = await simulate(recording, { seed, minutes: 0.4 });
  const onModel = await simulate(model, { seed, minutes: 0.4 });

  expect(onSql.violations).toEqual([]);
  expect(onModel.traceHash).toBe(onSql.traceHash);
  const clock = new FakeClock();
  const replayed = createModelStore({ clock });
  for (const { at, call, answer } of recorded) {
    clock.jump(at - clock.now());
    const said = await perform(replayed, call);
    expect(comparable(call, said), `${at}: ${JSON.stringify(call)}`).toEqual(comparable(call, answer));
  }
  expect(recorded.length).toBeGreaterThan(500);
});

/** Calls are made one after the other (`StoreServer`), so their answers come in the order in which they took effect. */
function recordingStore(store: Store, now: () => EpochMs, recorded: Recorded[]): Store {
  const record = <Group extends Call[0]>(group: Group) =>
    Object.fromEntries(
      Object.entries(store[group]).map(([method, call]) => [
        method,
        async (...given: unknown[]) => {
          const at = now();
          const asked = structuredClone([group, method, ...given]) as unknown as Call;
          const value: unknown = await call(...given);
          recorded.push({ at, call: asked, answer: { value: structuredClone(value) } });
          return value;
        },
      ]),
    ) as unknown as Store[Group];
  return {
    ...store,
    tasks: record("tasks"),
    lanes: record("lanes"),
    control: record("control"),
    batches: record("batches"),
    functions: record("functions"),
    accounts: record("accounts"),
    agents: record("agents"),
    logs: record("logs"),
  };
}
