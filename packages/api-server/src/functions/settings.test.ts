import { Environment, FunctionSettings, Hook } from "@sluice/protocol";
import { expect, test } from "vitest";
import { parseChangedSettings, parseNewSettings } from "./settings.ts";

const minimal = { runtime: "nodejs20", handler: "index.handler" };

test("a new function needs a runtime and a handler; the rest has defaults", () => {
  expect(parseNewSettings(FunctionSettings.fromPartial(minimal))).toEqual({
    ...minimal,
    description: "",
    timeoutMs: 60_000,
    memoryMb: 512,
    instanceConcurrency: 1,
    instancesMax: 100,
    environment: {},
    initializer: undefined,
    preStop: undefined,
    idleTimeoutMs: 60_000,
    maxAsyncRetryAttempts: 3,
    maxAsyncEventAgeInSeconds: 86_400,
    concurrencyMax: 0,
    concurrencyReserved: 0,
    rateMax: 0,
    rateBurst: 0,
    weight: 1,
    preemptible: false,
    dedicatedQueue: false,
    latencySensitive: false,
  });
  expect(() => parseNewSettings(undefined)).toThrow(reason("MISSING_RUNTIME", "settings.runtime"));
  expect(() => parseNewSettings({ runtime: "python3" })).toThrow(reason("MISSING_HANDLER", "settings.handler"));
});

test("a change holds what is present, and an empty hook takes the hook away", () => {
  const change = FunctionSettings.fromPartial({ memoryMb: 128, initializer: Hook.fromPartial({}) });
  expect(parseChangedSettings(change)).toStrictEqual({ memoryMb: 128, initializer: undefined });
  const preStop = { handler: "index.bye", timeoutMs: 0 };
  expect(parseChangedSettings({ preStop })).toEqual({ preStop: { handler: "index.bye", timeoutMs: 3000 } });
  expect(parseChangedSettings({ environment: { variables: {} } })).toEqual({ environment: {} });
});

test.each([
  ["timeoutMs", "timeout_ms", 1, 86_400_000],
  ["memoryMb", "memory_mb", 64, 32_768],
  ["instanceConcurrency", "instance_concurrency", 1, 200],
  ["instancesMax", "instances_max", 1, 1_000],
  ["idleTimeoutMs", "idle_timeout_ms", 1_000, 3_600_000],
  ["maxAsyncRetryAttempts", "max_async_retry_attempts", 0, 8],
  ["maxAsyncEventAgeInSeconds", "max_async_event_age_in_seconds", 1, 604_800],
  ["concurrencyMax", "concurrency_max", 0, 100_000],
  ["concurrencyReserved", "concurrency_reserved", 0, 10_000],
  ["rateBurst", "rate_burst", 0, 1_000_000],
  ["weight", "weight", 1, 100],
] as const)("%s lies within its range", (name, field, min, max) => {
  expect(parseChangedSettings({ [name]: min })).toEqual({ [name]: min });
  expect(parseChangedSettings({ [name]: max })).toEqual({ [name]: max });
  for (const value of [min - 1, max + 1, min + 0.5, Number.NaN, 2 ** 60]) {
    expect(() => parseChangedSettings({ [name]: value })).toThrow(reason("INVALID_SETTING", `settings.${field}`));
  }
});

test.each([
  ["runtime", { runtime: "cobol" }, "UNKNOWN_RUNTIME"],
  ["handler", { handler: "index" }, "INVALID_HANDLER"],
  ["handler", { handler: "../index.handler" }, "INVALID_HANDLER"],
  ["handler", { handler: "a/../../index.handler" }, "INVALID_HANDLER"],
  ["handler", { handler: "/etc/index.handler" }, "INVALID_HANDLER"],
  ["handler", { handler: "index.handler\0" }, "INVALID_HANDLER"],
  ["description", { description: "x".repeat(257) }, "INVALID_TEXT"],
  ["description", { description: "a\0b" }, "INVALID_TEXT"],
  ["description", { description: "a\uFFFDb" }, "INVALID_TEXT"],
  ["description", { description: "a\uD800b" }, "INVALID_TEXT"],
  ["initializer.handler", { initializer: { handler: "no dots", timeoutMs: 0 } }, "INVALID_HANDLER"],
  ["pre_stop.timeout_ms", { preStop: { handler: "a.b", timeoutMs: 300_001 } }, "INVALID_SETTING"],
  ["pre_stop.timeout_ms", { preStop: { handler: "a.b", timeoutMs: -1 } }, "INVALID_SETTING"],
])("a wrong %s is refused: %j", (field, settings, expected) => {
  expect(() => parseChangedSettings(settings)).toThrow(reason(expected, `settings.${field}`));
});

test("handlers may lie in folders", () => {
  for (const handler of ["src/index.handler", "a/b-c/d.e.main", "_m.$f"]) {
    expect(parseChangedSettings({ handler })).toEqual({ handler });
  }
});

test.each([
  "LD_PRELOAD",
  "ld_library_path",
  "DYLD_INSERT_LIBRARIES",
  "NODE_OPTIONS",
  "PATH",
  "PYTHONHOME",
  "BASH_ENV",
  "SLUICE_MASTER_KEY",
  "FC_REGION",
  "__proto__",
])("%s is not a function's to set", (name) => {
  // Object literals take `__proto__` for something else.
  const variables = JSON.parse(`{"${name}":"x"}`) as Record<string, string>;
  const expected = reason("RESERVED_ENVIRONMENT_NAME", `settings.environment.variables.${name}`);
  expect(() => parseChangedSettings({ environment: { variables } })).toThrow(expected);
});

test("an environment has at most 64 names of letters and 32 KiB", () => {
  const many = Object.fromEntries(Array.from({ length: 64 }, (_, index) => [`NAME_${index}`, "x"]));
  const environment = (variables: Record<string, string>) => () =>
    parseChangedSettings({ environment: Environment.fromPartial({ variables }) });
  expect(environment(many)()).toEqual({ environment: many });
  const wrong = reason("INVALID_ENVIRONMENT", "settings.environment");
  expect(environment({ ...many, ONE_MORE: "x" })).toThrow(wrong);
  expect(environment({ "A=B": "x" })).toThrow(wrong);
  expect(environment({ "": "x" })).toThrow(wrong);
  expect(environment({ A: "ü".repeat(16_384) })).toThrow(wrong);
  expect(environment({ A: "x\0" })).toThrow(reason("INVALID_TEXT", "settings.environment.variables.A"));
});

function reason(expected: string, field: string) {
  return expect.objectContaining({ code: "invalid", reason: expected, field });
}

test("a rate is 0, which is no limit, or a number of attempts per second within its range", () => {
  for (const rateMax of [0, 0.01, 50, 1_000_000]) expect(parseChangedSettings({ rateMax })).toEqual({ rateMax });
  for (const rateMax of [-1, 0.001, 1_000_001, Number.NaN, Number.POSITIVE_INFINITY]) {
    expect(() => parseChangedSettings({ rateMax })).toThrow(reason("INVALID_SETTING", "settings.rate_max"));
  }
});
