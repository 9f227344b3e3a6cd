import { aFlow, FakeClock } from "@sluice/core/testing";
import type { FunctionRecord } from "@sluice/store";
import { expect, test } from "vitest";
import { createFlowMeter } from "./flow-meter.ts";
import type { GatedFlow } from "./partition/gates.ts";

const clock = new FakeClock();
const flow = (name: string) => aFlow({ function: name });
const gated = (name: string, settings: Partial<FunctionRecord["settings"]> = {}) =>
  ({ origin: flow(name), flowKey: `main/${name}`, function: { settings } }) as unknown as GatedFlow;
const nothing = { accounts: { peek: () => undefined }, isRouted: () => false };

test("a flow that asks is reported as soon as one of its tasks was picked, and a quiet one that does not ask is not", async () => {
  const meter = createFlowMeter({ clock, ...nothing });
  meter.gate.onPicked?.(gated("asks", { dedicatedQueue: true }));
  meter.gate.onPicked?.(gated("fast", { latencySensitive: true }));
  meter.gate.onPicked?.(gated("quiet"));
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
  meter.gate.onPicked?.(gated("routed"));
  meter.gate.onPicked?.(gated("asks", { dedicatedQueue: true }));
  await clock.advance(1_000);
  expect(meter.measure([])).toMatchObject([{ functionName: "routed", asksFor: "nothing" }]);
});
