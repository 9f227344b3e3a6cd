import { AccountId, FunctionName } from "@sluice/core";
import { type FunctionRecord, type FunctionSettings, isOfInstances } from "@sluice/store";
import { expect, test } from "vitest";
import { functionSpec } from "./function-spec.ts";

const settings: FunctionSettings = {
  runtime: "nodejs20",
  handler: "index.handler",
  description: "",
  timeoutMs: 1,
  memoryMb: 1,
  instanceConcurrency: 1,
  instancesMax: 1,
  environment: {},
  initializer: undefined,
  preStop: undefined,
  idleTimeoutMs: 1,
  maxAsyncRetryAttempts: 1,
  maxAsyncEventAgeInSeconds: 1,
  concurrencyMax: 1,
  concurrencyReserved: 1,
  rateMax: 1,
  rateBurst: 1,
  weight: 1,
  preemptible: false,
  dedicatedQueue: false,
  latencySensitive: false,
};
const hook = { handler: "index.hook", timeoutMs: 2 };
const other: FunctionSettings = {
  ...(Object.fromEntries(
    Object.entries(settings).map(([name, value]) => [name, typeof value === "number" ? 2 : true]),
  ) as unknown as FunctionSettings),
  runtime: "python3",
  handler: "main.handler",
  environment: { A: "1" },
  initializer: hook,
  preStop: hook,
};
const record: FunctionRecord = {
  accountId: AccountId("acme"),
  functionName: FunctionName("train"),
  settings,
  revision: 1,
  codeSha256: "a",
  codeBytes: 1,
  createdAt: 1,
  updatedAt: 1,
  limitsChangedAt: 0,
};
/** Agents take these for a revision that they know, too, without starting its instances anew. */
const bounds = ["idleTimeoutMs", "instancesMax", "latencySensitive"];

test("agents are told of a setting only by a new revision, but for bounds that instances do not depend on", () => {
  const before = Object.entries(functionSpec(record));
  const toldOf = (name: string) => {
    const changed = { ...settings, [name]: other[name as keyof FunctionSettings] };
    const after = functionSpec({ ...record, settings: changed });
    return before.some(
      ([field, value]) => JSON.stringify(after[field as keyof typeof after]) !== JSON.stringify(value),
    );
  };
  const told = Object.keys(settings).filter(toldOf).sort();
  const ofInstances = Object.entries(isOfInstances).flatMap(([name, isTheirs]) => (isTheirs ? [name] : []));

  expect(told).toEqual([...ofInstances, ...bounds].sort());
});
