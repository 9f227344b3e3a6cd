import { invalid } from "@sluice/core";
import type { FunctionMessage, Hook, FunctionSettings as WireSettings } from "@sluice/protocol";
import { defaultFlowSettings, type FunctionRecord, type FunctionSettings } from "@sluice/store";
import { checkInteger, checkText } from "../wire/text.ts";
import { parseEnvironment } from "./environment.ts";

const runtimes = ["nodejs18", "nodejs20", "nodejs22", "python3", "python3.9", "python3.10", "python3.11", "python3.12"];

/** What a new function gets where its settings say nothing. Runtime and handler have no default. */
const defaults: Omit<FunctionSettings, "runtime" | "handler"> = {
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
  ...defaultFlowSettings,
};

const descriptionLengthMax = 256;
const rateRange = { min: 0.01, max: 1_000_000 };
const hookTimeoutMs = { default: 3_000, max: 300_000 };
// A path within the package, then the name that the file exports.
const handlerPattern = /^(?!.*(^|\/)\.\.?(\/|$))[A-Za-z0-9_][A-Za-z0-9_./-]{0,120}\.[A-Za-z_$][A-Za-z0-9_$]{0,63}$/;

/** Complete settings of a new function. Throws what is wrong with a field. */
export function parseNewSettings(wire: WireSettings | undefined): FunctionSettings {
  const { runtime, handler, ...others } = parseChangedSettings(wire ?? {});
  if (runtime === undefined)
    throw invalid("MISSING_RUNTIME", "settings.runtime", `choose one of ${runtimes.join(", ")}`);
  if (handler === undefined) {
    throw invalid("MISSING_HANDLER", "settings.handler", "name the function to call, such as index.handler");
  }
  return { ...defaults, ...others, runtime, handler };
}

/** The settings that are present. A hook with an empty handler is taken away. Throws what is wrong with a field. */
export function parseChangedSettings(wire: WireSettings): Partial<FunctionSettings> {
  const settings: { -readonly [K in keyof FunctionSettings]?: FunctionSettings[K] } = {};
  if (wire.runtime !== undefined) settings.runtime = parseRuntime(wire.runtime);
  if (wire.handler !== undefined) settings.handler = parseHandler(wire.handler, "settings.handler");
  if (wire.description !== undefined) {
    settings.description = checkText(wire.description, "settings.description", descriptionLengthMax);
  }
  for (const [name, { field, min, max }] of Object.entries(ranges) as [RangedName, Range][]) {
    const value = wire[name];
    if (value !== undefined) {
      settings[name] = checkInteger(value, { field: `settings.${field}`, reason: "INVALID_SETTING", min, max });
    }
  }
  if (wire.rateMax !== undefined) settings.rateMax = parseRate(wire.rateMax);
  for (const name of ["preemptible", "dedicatedQueue", "latencySensitive"] as const) {
    const value = wire[name];
    if (value !== undefined) settings[name] = value;
  }
  if (wire.environment !== undefined) settings.environment = parseEnvironment(wire.environment.variables);
  if (wire.initializer !== undefined) settings.initializer = parseHook(wire.initializer, "settings.initializer");
  if (wire.preStop !== undefined) settings.preStop = parseHook(wire.preStop, "settings.pre_stop");
  return settings;
}

type RangedName =
  | "timeoutMs"
  | "memoryMb"
  | "instanceConcurrency"
  | "instancesMax"
  | "idleTimeoutMs"
  | "maxAsyncRetryAttempts"
  | "maxAsyncEventAgeInSeconds"
  | "concurrencyMax"
  | "concurrencyReserved"
  | "rateBurst"
  | "weight";
interface Range {
  readonly field: string;
  readonly min: number;
  readonly max: number;
}
const ranges: Readonly<Record<RangedName, Range>> = {
  timeoutMs: { field: "timeout_ms", min: 1, max: 86_400_000 },
  memoryMb: { field: "memory_mb", min: 64, max: 32_768 },
  instanceConcurrency: { field: "instance_concurrency", min: 1, max: 200 },
  instancesMax: { field: "instances_max", min: 1, max: 1_000 },
  idleTimeoutMs: { field: "idle_timeout_ms", min: 1_000, max: 3_600_000 },
  maxAsyncRetryAttempts: { field: "max_async_retry_attempts", min: 0, max: 8 },
  maxAsyncEventAgeInSeconds: { field: "max_async_event_age_in_seconds", min: 1, max: 604_800 },
  concurrencyMax: { field: "concurrency_max", min: 0, max: 100_000 },
  concurrencyReserved: { field: "concurrency_reserved", min: 0, max: 10_000 },
  rateBurst: { field: "rate_burst", min: 0, max: 1_000_000 },
  weight: { field: "weight", min: 1, max: 100 },
};

/** Throws unless it is a rate. */
export function parseRate(rate: number): number {
  if (rate === 0 || (rate >= rateRange.min && rate <= rateRange.max)) return rate;
  throw invalid(
    "INVALID_SETTING",
    "settings.rate_max",
    `a rate is 0 (no limit) or from ${rateRange.min} to ${rateRange.max} attempts per second`,
  );
}

function parseRuntime(runtime: string): string {
  if (runtimes.includes(runtime)) return runtime;
  throw invalid(
    "UNKNOWN_RUNTIME",
    "settings.runtime",
    `there is no such runtime; choose one of ${runtimes.join(", ")}`,
  );
}

function parseHandler(handler: string, field: string): string {
  if (handlerPattern.test(handler)) return handler;
  throw invalid("INVALID_HANDLER", field, "a handler reads file.export, such as index.handler or src/index.handler");
}

function parseHook(hook: Hook, field: string): FunctionSettings["initializer"] {
  if (hook.handler === "") return undefined;
  const handler = parseHandler(hook.handler, `${field}.handler`);
  const range = { field: `${field}.timeout_ms`, reason: "INVALID_SETTING", min: 0, max: hookTimeoutMs.max };
  return { handler, timeoutMs: checkInteger(hook.timeoutMs, range) || hookTimeoutMs.default };
}

export function toWireFunction(record: FunctionRecord): FunctionMessage {
  const { environment, initializer, preStop, ...plain } = record.settings;
  return {
    name: record.functionName,
    settings: {
      ...plain,
      environment: { variables: { ...environment } },
      initializer: initializer && { ...initializer },
      preStop: preStop && { ...preStop },
    },
    revision: record.revision,
    codeSha256: record.codeSha256,
    codeBytes: record.codeBytes,
    createdAtMs: record.createdAt,
    updatedAtMs: record.updatedAt,
    queue: undefined,
  };
}
