import { aFlow, FakeClock } from "@sluice/core/testing";
import { createMemorySignals } from "@sluice/queue/memory";
import type { AccountRecord, FunctionRecord, Store } from "@sluice/store";
import { expect, onTestFinished, test } from "vitest";
import { createAccountCache } from "../functions.ts";
import { flowLimits } from "./homes.ts";
import { unrouted } from "./testing.ts";

const flow = aFlow();
const limitedFunction = { settings: { concurrencyMax: 1, rateMax: 0 }, limitsChangedAt: 5 } as FunctionRecord;

/** The limits of a flow of this account, as they are known after reads and hints. */
function startAccounts(stored: readonly AccountRecord[]) {
  const clock = new FakeClock();
  const signals = createMemorySignals();
  const store = { accounts: { read: async () => stored } } as unknown as Store;
  const accounts = createAccountCache({ clock, signals, store });
  const stop = new AbortController();
  void accounts.run(stop.signal);
  onTestFinished(() => stop.abort());
  const context = { accounts, routes: { of: () => unrouted, ageMs: () => 0 }, queues: ["q0"] };
  return {
    versionOf: () => flowLimits(context, flow, limitedFunction)?.version,
    read: () => accounts.read([flow.accountId]),
    async hint() {
      signals.send("account", flow.accountId);
      await clock.settle();
    },
  };
}

test("what limits a flow is not known while its account is not, so no version comes and goes with a hint", async () => {
  const account = { ...flow, settings: { concurrencyMax: 0, rateMax: 0 }, limitsChangedAt: 7 };
  const { versionOf, read, hint } = startAccounts([account as unknown as AccountRecord]);
  expect(versionOf()).toBeUndefined();
  await read();
  expect(versionOf()).toEqual([5, 7]);
  await hint();
  expect(versionOf()).toBeUndefined();
  await read();
  expect(versionOf()).toEqual([5, 7]);
});

test("an account that is not there limits nothing", async () => {
  const { versionOf, read } = startAccounts([]);
  await read();
  expect(versionOf()).toEqual([5, 0]);
});
