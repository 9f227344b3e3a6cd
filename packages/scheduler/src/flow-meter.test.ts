import { aFlow, FakeClock } from "@sluice/core/testing";
import type { FunctionRecord } from "@sluice/store";
import { expect, test } from "vitest";
import { createFlowMeter } from "./flow-meter.ts";
import type { GatedFlow } from "./partition/gates.ts";
import type { ActiveTask } from "./partition/memory.ts";

const clock = new FakeClock();
const flow = (name: string) => aFlow({ function: name });
const gated = (name: string, settings: Partial<FunctionRecord["settings"]> = {}) =>
  ({ origin: flow(name), flowKey: `main/${name}`, function: { settings } }) as unknown as GatedFlow;
const task = {} as ActiveTask;
const nothing = { accounts: { peek: () => undefined }, isRouted: () => false };

test("a flow that asks is reported as soon as one of its tasks was picked, and a quiet one that does not ask is not", async () => {
  const meter = createFlowMeter({ clock, ...nothing });
  meter.gate.onPicked?.(gated("asks", { dedicatedQueue: true }), task);
  meter.gate.onPicked?.(gated("fast", { latencySensitive: true }), task);
  meter.gate.onPicked?.(gated("quiet"), task);
  await clock.advance(2_000);
  expect(meter.measure([])).toEqual([
    { ...flow("asks"), waiting: 0, dispatchedPerSecond: 0.5, asksFor: "dedicated" },
    { ...flow("fast"), waiting: 0, dispatchedPerSecond: 0.5, asksFor: "latency" },
  ]);
  await clock.advance(2_000);
  expect(meter.measure([])).toEqual([]);
});

test("what waits of a flow in all partitions counts; the hottest come first", async () => {
  const meter = createFlowMeter({ clock, ...nothing });
  const waiting = [
    { flow: flow("warm"), size: 1_500 },
    { flow: flow("hot"), size: 3_000 },
    { flow: flow("hot"), size: 2_000 },
    { flow: flow("cold"), size: 10 },
  ];
  await clock.advance(1_000);
  expect(meter.measure(waiting).map(({ functionName, waiting: count }) => [functionName, count])).toEqual([
    ["hot", 5_000],
    ["warm", 1_500],
  ]);
});

test("a flow that has a queue is reported although it asks no more; one of a limited account does not ask", async () => {
  const limited = { settings: { concurrencyMax: 1, rateMax: 0 } };
  const accounts = { peek: () => limited as never };
  const meter = createFlowMeter({ clock, accounts, isRouted: ({ functionName }) => functionName === "routed" });
  meter.gate.onPicked?.(gated("routed"), task);
  meter.gate.onPicked?.(gated("asks", { dedicatedQueue: true }), task);
  await clock.advance(1_000);
  expect(meter.measure([])).toMatchObject([{ functionName: "routed", asksFor: "nothing" }]);
});

test("flows of one account that ask leave room in the report for those of others that ask or are hot", async () => {
  const meter = createFlowMeter({ clock, ...nothing });
  const asksOf = (account: string, name: string) => {
    const origin = aFlow({ account, function: name });
    meter.gate.onPicked?.(
      {
        ...gated(name, { dedicatedQueue: true }),
        origin,
        flowKey: `${account}/${name}`,
      } as GatedFlow,
      task,
    );
  };
  for (let index = 0; index < 64; index++) asksOf("greedy", `a${index}`);
  asksOf("other", "z");
  await clock.advance(1_000);
  const flows = meter.measure([{ flow: flow("hot"), size: 500_000 }]);
  expect(flows.map(({ functionName }) => functionName)).toEqual(expect.arrayContaining(["z", "hot"]));
  expect(flows.filter(({ accountId }) => accountId === "greedy")).toHaveLength(8);
  for (let index = 0; index < 64; index++) for (const account of ["g1", "g2", "g3"]) asksOf(account, `a${index}`);
  asksOf("other", "z");
  await clock.advance(1_000);
  expect(meter.measure([]).map(({ functionName }) => functionName)).toContain("z");
});

test("however many accounts ask, the hottest flows are reported", async () => {
  const routed = (name: string) => name === "f0";
  const meter = createFlowMeter({ clock, ...nothing, isRouted: ({ functionName }) => routed(functionName) });
  for (let index = 0; index < 40; index++) {
    const origin = aFlow({ account: `t${index}`, function: `f${index}` });
    const asked = gated(`f${index}`, { dedicatedQueue: true });
    meter.gate.onPicked?.({ ...asked, origin, flowKey: `t${index}/f${index}` } as GatedFlow, task);
  }
  await clock.advance(1_000);
  const names = meter.measure([{ flow: flow("hot"), size: 500_000 }]).map(({ functionName }) => functionName);
  expect(names).toHaveLength(25);
  expect(names).toContain("hot");
  // It has its queue already, and leaves its place to others.
  expect(names).not.toContain("f0");
});
